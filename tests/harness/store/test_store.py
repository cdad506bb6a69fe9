"""The store: what is done is found, what is not is never seen."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.store.step import Part, Step, Work
from harness.store.store import RECORD, Store


def write_text(work: Work) -> dict[str, Any]:
    """A step that writes the texts of its inputs and its own."""
    told = [(folder / "text").read_text() for folder in work.inputs.values()]
    (work.out / "text").write_text("".join([*told, work.settings["text"]]))
    return {"length": len(work.settings["text"])}


def fail(work: Work) -> dict[str, Any]:
    """A step that fails half-way."""
    (work.out / "text").write_text("half")
    raise ValueError("no")


def linger(work: Work) -> dict[str, Any]:
    """A step that takes long after its first line."""
    (work.out / "text").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
    return {}


def count(work: Work) -> dict[str, Any]:
    """A step that fails once, and finds what it kept when it runs again."""
    assert work.kept is not None
    if not work.kept.exists():
        work.kept.mkdir(parents=True)
        (work.kept / "text").write_text("kept")
        raise ValueError("no")
    (work.out / "text").write_text((work.kept / "text").read_text())
    return {}


def step(text: str, run: str = "write_text", **inputs: Step | Part) -> Step:
    return Step("text", "t", f"text {text}", {"text": text}, inputs, f"tests.harness.store.test_store:{run}")


def test_an_artifact_is_made_once_and_found_again(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    folder = store.make(a)
    made = (folder / "text").stat().st_mtime_ns

    assert Store(tmp_path).make(step("a")) == folder
    assert (folder / "text").stat().st_mtime_ns == made
    assert store.record(folder)["measured"] == {"length": 1}


def test_an_id_covers_settings_and_inputs_but_neither_context_nor_label() -> None:
    a, b = step("a"), step("b")
    renamed = Step("text", "other", "another label", {"text": "a"}, {}, "x:y", context={"device": "cuda"})

    assert renamed.id == a.id != b.id
    assert step("c", first=a).id != step("c", first=b).id
    assert step("c", first=a).id != step("c", second=a).id
    assert step("c", first=Part(a, "x")).id != step("c", first=a).id
    assert Step("text", "t", "", {"text": "a"}, {}, "x:y", version=2).id != a.id


def test_a_step_reads_its_inputs(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    store.make(a)

    assert (store.make(step("b", first=a)) / "text").read_text() == "ab"


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="no"):
        store.make(step("a", "fail"))

    assert store.find(step("a")) is None
    assert not list(tmp_path.glob("partial/*"))


def test_a_killed_step_is_not_found_and_its_work_is_swept(tmp_path: Path) -> None:
    make = f"Store(Path({str(tmp_path)!r})).make(step('a', 'linger'))"
    code = f"from tests.harness.store.test_store import *; {make}"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"begun\n"
    store = Store(tmp_path)
    store.sweep()
    assert list(tmp_path.glob("partial/*/text")), "the work of a living process stays"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    assert store.find(step("a")) is None
    store.sweep()
    assert not list(tmp_path.glob("partial/*"))
    assert (store.make(step("a")) / "text").read_text() == "a"


def test_two_processes_that_make_the_same_step_end_with_one_artifact(tmp_path: Path) -> None:
    code = (
        f"from tests.harness.store.test_store import *; s = Store(Path({str(tmp_path)!r}))\n"
        "for i in range(40): s.make(step(str(i)))"
    )
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]

    assert [child.wait() for child in children] == [0, 0]
    records = list(tmp_path.glob(f"text/*/{RECORD}"))
    assert len(records) == 40
    assert {json.loads(r.read_text())["measured"]["length"] for r in records} == {1, 2}
    assert not list(tmp_path.glob("partial/*"))


def test_a_step_that_runs_again_finds_what_it_kept_which_goes_with_its_publication(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a", "count")
    with pytest.raises(ValueError, match="no"):
        store.make(a)
    store.sweep()
    kept = tmp_path / "unfinished" / a.id

    assert kept.exists()
    assert (store.make(a) / "text").read_text() == "kept" and not kept.exists()
    kept.mkdir()  # as a kill behind the publication leaves it
    store.sweep()
    assert not kept.exists()
