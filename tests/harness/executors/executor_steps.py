"""Small steps for tests of executors. Each leaves a line in the file of its setting `told` when it runs."""

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from harness.common.underway import news
from harness.endpoints import session
from harness.store.step import Ref, Source, Step, StepKind
from harness.store.step import Work as AnyWork
from harness.store.step_record import optional, several


@dataclass(frozen=True)
class SmallSettings:
    """told: the file that hears of each run; seconds: how long it takes."""

    name: str
    told: str
    seconds: float = optional(0.0)


@dataclass(frozen=True)
class SmallInputs(Generic[Ref]):
    terms: Mapping[str, Ref] = several("term")


SmallStep = Step[SmallSettings, SmallInputs[Source]]
Work = AnyWork[SmallSettings, SmallInputs[Path]]


def add(work: Work) -> dict[str, Any]:
    """One more than the sum of the inputs."""
    _tell(work)
    time.sleep(work.settings.seconds)
    total = 1 + sum(int((folder / "n").read_text()) for folder in work.inputs.terms.values())
    (work.out / "n").write_text(str(total))
    return {"n": total}


def counting(work: Work) -> dict[str, Any]:
    """Tells of a hundred things how many are done."""
    counted = news.count("things", 100)
    for done in range(1, 101):
        time.sleep(work.settings.seconds / 100)
        counted.at(done)
    return add(work)


def hold_a_lock(work: Work) -> dict[str, Any]:
    """Makes a lock as libraries do, and takes long."""
    lock = multiprocessing.RLock()
    with lock:
        _tell(work)
        time.sleep(600)
    return {}


def place(work: Work) -> dict[str, Any]:
    """Which process this is, and how many calls its session may make."""
    _tell(work)
    return {"pid": os.getpid(), "most": session.current().ledger.max_calls}


def wait_for_another(work: Work) -> dict[str, Any]:
    """Ends once another step has begun; wrong where none does."""
    _tell(work)
    until = time.monotonic() + 120
    while len(Path(work.settings.told).read_text().split()) < 2:
        if time.monotonic() > until:
            raise ValueError("no other step began")
        time.sleep(0.01)
    return {}


def wrong(work: Work) -> dict[str, Any]:
    """What the person at the keyboard can mend."""
    _tell(work)
    raise ValueError("the data is\nempty")


def bug(work: Work) -> dict[str, Any]:
    """What only we can mend."""
    _tell(work)
    return {"n": {}["n"]}


def die(work: Work) -> dict[str, Any]:
    """Always killed."""
    _tell(work)
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def die_once(work: Work) -> dict[str, Any]:
    """Killed the first time."""
    runs = Path(work.settings.told).read_text().splitlines().count(work.settings.name)
    return die(work) if runs == 0 else add(work)


HERE = "tests.harness.executors.executor_steps"
TEXT = StepKind("text", SmallSettings, SmallInputs, f"{HERE}:add")
JUDGMENTS = replace(TEXT, name="judgments")


def step(told: Path, name: str, run: str = "add", seconds: float = 0, **terms: SmallStep) -> SmallStep:
    settings = SmallSettings(name, str(told), seconds)
    return replace(TEXT, run=f"{HERE}:{run}").step(name, settings, SmallInputs(terms))


def asking(told: Path, name: str, run: str = "place", **where: str) -> SmallStep:
    """A step that asks an endpoint, or a server of our own where `engine` is given."""
    context = {"endpoint": {"model": "m", **where}}
    kind = replace(JUDGMENTS, run=f"{HERE}:{run}")
    return kind.step(name, SmallSettings(name, str(told)), SmallInputs(), context)


def _tell(work: Work) -> None:
    with Path(work.settings.told).open("a") as f:
        f.write(f"{work.settings.name}\n")
