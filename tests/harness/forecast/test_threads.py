"""A step's threads hang on its models alone."""

import methods
from harness.executors.options import Machine
from harness.forecast.sizes import PlanSizes
from harness.forecast.threads import threads
from harness.plan import plan as planning
from tests import suites
from tests.paths import TINY


def of_kinds(*overrides: str) -> dict[str, set[int]]:
    loaded = suites.load(TINY, list(overrides))
    steps = planning.plan(loaded, methods.registry(), Machine(), only=["DPO", "DCKD"]).steps
    sizes = PlanSizes(loaded, Machine(), None, {})
    found: dict[str, set[int]] = {}
    for step in steps:
        found.setdefault(step.kind.name, set()).add(threads(step, sizes))
    return found


def test_steps_of_small_models_have_one_thread() -> None:
    assert set().union(*of_kinds().values()) == {1}


def test_steps_that_read_or_make_a_large_model_have_four() -> None:
    found = of_kinds("pairs.tiny.teacher.base={hidden: 1024, layers: 4, heads: 2, ffn: 4096}")
    assert found["signals"] == {1, 4}, "of the student, and of the teacher"
    assert found["train"] == {1, 4} and found["answers"] == {1, 4}
    assert found["world"] == found["judgments"] == {1}
