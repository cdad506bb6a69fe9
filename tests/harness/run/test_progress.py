"""What a person sees while steps run, several at once."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.run.progress import NAMED, LiveProgress, PlainProgress
from harness.store.store import Store
from tests.harness.store.steps import step_named

STEPS = [
    *(step_named("train", label) for label in "ABC"),
    *(step_named("answers", label) for label in "DE"),
]


def shown(live: LiveProgress) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(live.view())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_view_counts_what_is_done_and_names_what_runs(tmp_path: Path) -> None:
    live = LiveProgress(STEPS, STEPS[1:], Store(tmp_path))
    assert "1/3" in shown(live) and "0/2" in shown(live)
    for step in STEPS[1:]:
        live.begin(step)
    assert f"B, C, D and {len(STEPS) - 1 - NAMED} more" in shown(live)
    live.end(STEPS[1], 4.0)
    live.done_elsewhere(STEPS[2])
    live.failed(STEPS[3], "no disk")
    assert "3/3" in shown(live) and "0/2" in shown(live)
    assert "E; time left: not known yet" in shown(live), "what failed neither runs nor is done"


def test_the_time_left_is_shared_by_the_steps_that_run_at_once(tmp_path: Path) -> None:
    live = LiveProgress(STEPS, STEPS[:3], Store(tmp_path))
    live.seconds["train"] = [60.0]
    for running, told in ((1, "about 3 min left"), (2, "about 90 s left"), (3, "about 60 s left")):
        live.begin(STEPS[running - 1])
        assert told in shown(live)


def test_lines_number_every_way_a_step_can_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainProgress(3)
    lines.end(STEPS[0], 1.25)
    lines.done_elsewhere(STEPS[1])
    lines.failed(STEPS[2], "no disk")
    told = capsys.readouterr().out.splitlines()
    assert told == ["[1/3] A  1.2 s", "[2/3] B  by another run", "[3/3] C  FAILED: no disk"]


def test_nothing_of_the_bars_is_left_when_all_is_done(tmp_path: Path) -> None:
    """What a terminal shows at the end is what was printed, since the view is taken away."""
    live = LiveProgress(STEPS, STEPS, Store(tmp_path))
    assert live.live.transient
