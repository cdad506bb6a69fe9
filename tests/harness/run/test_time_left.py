"""The time left of a plan: by its forecast, corrected by what steps of a kind took, over chains and lanes."""

from dataclasses import replace
from pathlib import Path

from harness.run.underway.steps import Underway
from harness.run.underway.time_left import TimeLeft
from harness.store.step import Step
from harness.store.store import Store
from tests.harness.store.steps import step_named, text_step

TRAININGS = [step_named("train", name) for name in "ABCD"]
FORETOLD = {"A": 10.0, "B": 20.0, "C": 30.0, "D": 30.0}


def foretold(step: Step) -> float | None:
    return FORETOLD.get(step.label)


def left(underway: Underway) -> str:
    underway._told = float("-inf"), ""  # as if the last time left were long ago
    return underway.time_left()


def test_of_each_step_it_is_what_is_foretold_times_measured_over_foretold_of_its_kind(tmp_path: Path) -> None:
    """A took 30 s and not 10, so B, C and D take 60, 90 and 90; then B takes 50: (30 + 50) / 30 of 60."""
    underway = Underway(TRAININGS, Store(tmp_path), foretold)
    assert left(underway) == "about 90 s left"
    underway.begin(TRAININGS[0])
    underway.end(TRAININGS[0], 30.0)
    assert left(underway) == "about 4 min left"  # 240 s
    underway.begin(TRAININGS[1])
    underway.end(TRAININGS[1], 50.0)
    assert left(underway) == "about 3 min left"  # 160 s


def test_records_of_what_an_earlier_run_did_correct_it_too(tmp_path: Path) -> None:
    store, steps = Store(tmp_path), [text_step("a"), text_step("b")]
    seconds = store.record(store.make(steps[0]))["seconds"]
    times = TimeLeft(steps[:1], store, lambda step: 100.0)
    assert times.seconds(steps[1]) == seconds


def test_steps_that_run_share_lanes_and_one_that_calls_has_its_own(tmp_path: Path) -> None:
    judging = replace(step_named("judgments", "E"), context={"endpoint": {}})
    steps = [*TRAININGS, judging]
    times = TimeLeft([], Store(tmp_path), lambda step: {**FORETOLD, "E": 40.0}.get(step.label))
    assert times.left(steps, {}, 1) == (90.0, 0)
    assert times.left(steps, {}, 2) == (45.0, 0)
    assert times.left(steps, {}, 3) == (40.0, 0), "the calls'"
    assert times.left(steps, {TRAININGS[0].id: 4.0}, 1) == (84.0, 0), "one that runs is nearly done"


def test_nothing_ends_before_the_longest_chain_and_what_nobody_foretells_is_counted(tmp_path: Path) -> None:
    a = text_step("a")
    b = text_step("b", first=a)
    c = text_step("c", first=b)
    d = text_step("d")
    times = TimeLeft([], Store(tmp_path), lambda step: {a.id: 10.0, b.id: 20.0, c.id: 5.0}.get(step.id))
    assert times.left([a, b, c, d], {}, 8) == (35.0, 1)


def test_a_kind_that_is_not_foretold_takes_what_its_steps_took(tmp_path: Path) -> None:
    times = TimeLeft([], Store(tmp_path), lambda step: None)
    assert times.seconds(TRAININGS[1]) is None
    times.ended(TRAININGS[0], 4.0)
    times.ended(TRAININGS[2], 8.0)
    assert times.seconds(TRAININGS[1]) == 6.0


def test_a_look_at_the_time_left_while_the_first_step_of_a_kind_is_counted(tmp_path: Path) -> None:
    """The view's thread looks whenever it likes, as here in the middle."""
    looks: list[float | None] = []

    def estimate(step: Step) -> float:
        if not looks:
            looks.append(0.0)
            looks.append(times.seconds(TRAININGS[1]))
        return 20.0

    times = TimeLeft([], Store(tmp_path), estimate)
    times.ended(TRAININGS[0], 4.0)
    assert looks == [0.0, 20.0] and times.seconds(TRAININGS[1]) == 4.0


def test_what_stands_on_a_failed_step_takes_no_time(tmp_path: Path) -> None:
    a = text_step("a")
    b = text_step("b", first=a)
    underway = Underway([a, b, text_step("c")], Store(tmp_path), lambda step: 20.0)
    assert left(underway) == "about 60 s left"
    underway.begin(a)
    underway.failed(a)
    assert left(underway) == "about 20 s left"
