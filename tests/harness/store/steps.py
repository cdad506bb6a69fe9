"""Small steps for tests of what stores and runs steps: their kinds, and functions that do next to nothing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic
from weakref import ReferenceType, ref

from harness.common.underway import news
from harness.store.integrity import drop
from harness.store.step import Ref, Source, Step, StepKind, Work
from harness.store.step_record import by_name, optional


@dataclass(frozen=True)
class TextSettings:
    text: str
    world: Mapping[str, int] | None = optional()


@dataclass(frozen=True)
class TextInputs(Generic[Ref]):
    """As many of them as a test's graph has arrows into one step."""

    first: Ref | None = None
    second: Ref | None = None
    base: Ref | None = None
    middle: Ref | None = None
    other: Ref | None = None
    start: Ref | None = None


TextStep = Step[TextSettings, TextInputs[Source]]
TextWork = Work[TextSettings, TextInputs[Path]]


def write_text(work: TextWork) -> dict[str, Any]:
    """A step that writes the texts of its inputs and its own."""
    texts = [(folder / "text").read_text() for folder in by_name(work.inputs).values()]
    (work.out / "text").write_text("".join([*texts, work.settings.text]))
    return {"length": len(work.settings.text)}


def fail(work: TextWork) -> dict[str, Any]:
    """A step that fails half-way."""
    (work.out / "text").write_text("half")
    raise ValueError("no")


def linger(work: TextWork) -> dict[str, Any]:
    """A step that takes long after its first line."""
    (work.out / "text").write_text("half")
    news.count("texts", 1)
    print("begun", flush=True)
    time.sleep(600)
    return {}


def count(work: TextWork) -> dict[str, Any]:
    """A step that fails once, and finds what it kept when it runs again."""
    assert work.kept is not None
    if not work.kept.exists():
        work.kept.mkdir(parents=True)
        (work.kept / "text").write_text("kept")
        raise ValueError("no")
    (work.out / "text").write_text((work.kept / "text").read_text())
    return {}


def lose(work: TextWork) -> dict[str, Any]:
    """A step that finds what it kept damaged, and writes its text from the start."""
    assert work.kept is not None
    (work.kept / "half").mkdir(parents=True)
    drop(work.kept, work.kept / "half", "text differs from its checksum")
    return write_text(work)


class Cycle:
    """An object that holds itself, as a model does that has one of its own methods put into it."""

    left: ClassVar[list[ReferenceType["Cycle"]]] = []

    def __init__(self) -> None:
        self.itself = self
        self.left.append(ref(self))


def leave(work: TextWork) -> dict[str, Any]:
    """A step that leaves a reference cycle."""
    Cycle()
    return write_text(work)


def write_model(work: TextWork) -> dict[str, Any]:
    """A step that writes a model's files, none of which can be read as one, and a link out of its folder."""
    for name in ("config.json", "model.safetensors", "training.json", "metrics.jsonl"):
        (work.out / name).write_text(f"{name} of {work.settings.text}")
    (work.out / "elsewhere").symlink_to(work.out.parent)
    return {}


TEXT = StepKind("text", TextSettings, TextInputs, "tests.harness.store.steps:write_text")
MODEL = replace(TEXT, name="train", run="tests.harness.store.steps:write_model")


def text_step(text: str, run: str = "write_text", **inputs: Source) -> TextStep:
    """A step that writes a text, or another function of this file."""
    kind = replace(TEXT, run=f"tests.harness.store.steps:{run}")
    return kind.step(f"text {text}", TextSettings(text), TextInputs(**inputs), name="t")


def step_named(kind: str, label: str) -> TextStep:
    """A step of a kind of that name, which nobody runs."""
    return replace(TEXT, name=kind).step(label, TextSettings(label), TextInputs())
