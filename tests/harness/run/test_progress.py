"""What a person sees while steps run, several at once."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import methods
from harness.common.underway import news
from harness.executors import scheduler
from harness.executors.options import Machine
from harness.executors.protocol import Estimate, nobody_knows
from harness.executors.this_machine.inline import Inline
from harness.plan import plan as planning
from harness.run.progress import NAMED, LiveProgress, PlainProgress, RegularProgress, show_progress
from harness.run.underway.steps import Underway
from harness.store.store import Store
from tests import suites
from tests.harness.executors.executor_steps import step
from tests.harness.executors.test_jobs import jobs
from tests.harness.store.steps import step_named
from tests.paths import TINY

STEPS = [
    *(step_named("train", label) for label in "ABC"),
    *(step_named("answers", label) for label in "DE"),
]


SMALL_LINE = ["benchmarks={rule: {data: world/test, max_tokens: 8}}"]


def live_of(store: Store, estimate: Estimate = nobody_knows, width: int = 100) -> LiveProgress:
    console = Console(file=io.StringIO(), width=width, height=24)
    return LiveProgress(STEPS, Underway(STEPS, store, estimate), store, console)


def shown(live: LiveProgress) -> list[str]:
    """The lines of this moment."""
    live.underway._told = float("-inf"), ""  # as if the last time left were long ago
    console = Console(file=io.StringIO(), width=live.console.width, height=24)
    console.print(live.view())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_view_counts_what_is_done_and_names_what_runs(tmp_path: Path) -> None:
    live = live_of(Store(tmp_path))
    assert shown(live)[0] == "0 of 5 steps; time left: not known yet"
    for begun in STEPS[1:]:
        live.begin(begun)
    assert [line.split() for line in shown(live)[1:5]] == [[name, "0", "s"] for name in "BCDE"]
    live.end(STEPS[1], 4.0)
    live.done_elsewhere(STEPS[2])
    live.failed(STEPS[3], "no disk")
    told = shown(live)
    assert told[0].startswith("2 of 5 steps; ") and told[1].startswith("E "), "what failed does not run"
    assert told[2].startswith("train") and "2/3" in told[2] and "0/2" in told[3]


@pytest.mark.parametrize("width", [80, 40])
def test_a_narrow_terminal_cuts_labels_and_not_how_far_a_step_is(tmp_path: Path, width: int) -> None:
    store = Store(tmp_path)
    long = [step_named("train", "a training with a name " + 9 * "that goes on ")]
    live = LiveProgress(long, Underway(long, store, nobody_knows), store, Console(width=width, height=24))
    live.begin(long[0])
    with news.telling(store.root / "running" / f"{long[0].id}.json"):
        news.count("answers", 800)
        lines = shown(live)
    assert lines[1].startswith("a training w") and lines[1].rstrip().endswith("answers 0/800")
    assert len(lines) == 3 and max(map(len, lines)) <= width


def test_a_plain_line_names_some_of_many_steps_and_counts_the_others(tmp_path: Path) -> None:
    lines = RegularProgress(Underway(STEPS, Store(tmp_path), lambda step: 50.0), every=30.0)
    assert lines.line() == ""
    for begun in STEPS:
        lines.begin(begun)
    assert lines.line() == (
        f"running A: 0 s; B: 0 s; C: 0 s; {len(STEPS) - NAMED} more; 0 of 5 done; about 50 s left"
    )


def test_lines_number_every_way_a_step_can_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainProgress(3)
    lines.end(STEPS[0], 1.25)
    lines.done_elsewhere(STEPS[1])
    lines.failed(STEPS[2], "no disk")
    told = capsys.readouterr().out.splitlines()
    assert told == ["[1/3] A  1.2 s", "[2/3] B  by another run", "[3/3] C  FAILED: no disk"]


def test_without_a_terminal_lines_tell_how_far_inside_a_real_line_of_steps_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the world to judgments of a trained student."""
    monkeypatch.setattr(news, "EVERY", 0.0)
    store = Store(tmp_path / "store")
    plan = planning.plan(suites.load(TINY, SMALL_LINE), methods.registry(), Machine(), only=["SFT"])
    with show_progress(plan.steps, store, every=0.01) as watcher:
        scheduler.run(plan.steps, store, watcher, Inline(store))
    lines = capsys.readouterr().out.splitlines()

    ends = [line for line in lines if not line.startswith("running ")]
    assert len(ends) == len(plan.steps) and ends[-1].startswith(f"[{len(plan.steps)}/{len(plan.steps)}] ")
    told = [re.match(r"running sft teacher: optimizer step (\d+)/20, loss \d", x) for x in lines]
    numbers = [int(found[1]) for found in told if found]
    assert len(set(numbers)) > 2 and numbers == sorted(numbers)
    assert any(re.match(r"running [\w-]+ answers of sft student: answers \d+/16", line) for line in lines)
    assert not list((store.root / "running").iterdir())


def test_what_a_worker_counts_reaches_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    steps = [step(tmp_path / "told", name, "counting", seconds=2.5) for name in "ab"]
    with show_progress(steps, store, lambda step: 10.0, every=0.1) as watcher:
        scheduler.run(steps, store, watcher, jobs(2, store, tmp_path))
    lines = capsys.readouterr().out.splitlines()

    both = (
        r"running a: things (\d+)/100(?:, \S+)?; b: things (\d+)/100(?:, \S+)?; 0 of 2 done; about \d+ s left"
    )
    told = [(int(found[1]), int(found[2])) for line in lines if (found := re.fullmatch(both, line))]
    assert told == sorted(told) and len(set(told)) > 1
    seconds = sum(store.record(store.make(one))["seconds"] for one in steps)
    assert len(set(told)) <= seconds + 4, "each tells once a second, and at its begin"
