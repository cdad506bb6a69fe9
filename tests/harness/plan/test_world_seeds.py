"""Several world seeds: base models of their own, questions in common, and nothing twice."""

from collections import Counter
from pathlib import Path

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan.plan import Plan
from harness.store.step import Part
from harness.suite.schema import row_count
from tests import suites
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import TINY


def plan(*overrides: str) -> Plan:
    return planning.plan(suites.load(TINY, overrides), methods.registry(), Machine())


def counts(p: Plan) -> Counter[str]:
    return Counter(s.kind.name for s in p.steps)


def ids(p: Plan, world: int, method: str) -> set[str]:
    return {c.model.id for c in p.cells if (c.world_seed, c.method) == (world, method)}


def test_each_world_has_models_of_its_own_and_all_have_one_world_and_one_text() -> None:
    both, one = plan("world_seeds=[0, 1]", "seeds=[0, 1]"), plan("seeds=[0, 1]")
    twice, once = counts(both), counts(one)

    assert (twice["world"], twice["text"]) == (once["world"], once["text"]) == (1, 1)
    of_models = ("init", "train", "rollouts", "signals", "answers", "judgments")
    assert all(twice[kind] == 2 * once[kind] for kind in of_models)
    assert {s.id for s in one.steps} <= {s.id for s in both.steps}
    data = [s.inputs.data for s in both.steps if s.kind.name == "answers"]
    assert {d.step.id for d in data if isinstance(d, Part)} == {one.steps[0].id}


def test_seeds_of_a_world_share_its_models_and_worlds_share_none() -> None:
    p = plan("world_seeds=[0, 1]", "seeds=[0, 1]")
    assert len(p.cells) == 2 * 2 * 7 == row_count(p.suite)
    for method, of_each in (("Teacher", 1), ("Student", 1), ("DPO", 2), ("ADPA+", 2)):
        first, second = ids(p, 0, method), ids(p, 1, method)
        assert len(first) == len(second) == of_each and not first & second


def test_a_row_is_compared_with_the_reference_of_its_own_world_and_seed() -> None:
    p = plan("world_seeds=[0, 1]", "seeds=[0, 1]")
    own = {(c.method, c.world_seed, c.seed): c.measures["alpaca-eval"]["answers"].id for c in p.cells}
    assert len({answers for (method, *_), answers in own.items() if method == "ADPA"}) == 4
    for cell in p.cells:
        judged = cell.measures["alpaca-eval"]["judgments.ADPA"]
        assert judged.sources["reference"].id == own["ADPA", cell.world_seed, cell.seed]


def test_questions_are_those_of_the_worlds_own_seed() -> None:
    def world(*overrides: str) -> str:
        return next(s.id for s in plan(*overrides).steps if s.kind.name == "world")

    assert world("world_seeds=[5]") == world() == world("world.seed=0") != world("world.seed=5")


@pytest.fixture
def ready(tmp_path: Path) -> tuple[str, ...]:
    """A pair of models from outside, of which nothing is trained before a last stage, in two worlds."""
    teacher, student = tiny_folder(tmp_path / "teacher", seed=1), tiny_folder(tmp_path / "student", seed=2)
    return (
        f"pairs={{ready: {{teacher: {{base: {teacher}}}, student: {{base: {student}}}}}}}",
        "benchmarks={alpaca-eval: {data: world/test/alpaca_eval, reference: Student}}",
        "models={copy: {control: copy}}",
        "world_seeds=[3, 4]",
    )


def worlds(p: Plan) -> dict[str, tuple[int, ...]]:
    """Row -> the world seeds that it is there with."""
    return {c.method: tuple(o.world_seed for o in p.cells if o.method == c.method) for c in p.cells}


def test_world_seeds_that_drive_nothing_are_refused_in_one_line(ready: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as fault:
        plan(*ready)
    assert f"{fault.value}" == (
        "world_seeds: given [3, 4]; nothing is trained or sampled before a last stage, so all of them are "
        "one run: name one"
    )


def test_a_row_is_there_once_for_each_world_that_had_a_part_in_its_model(ready: tuple[str, ...]) -> None:
    """One run that is counted twice would look like two between which chance does nothing."""
    assert worlds(plan(*ready, "generation.temperature=0.7")) == {
        **dict.fromkeys(("Teacher", "Student", "SFT", "DPO", "DCKD", "copy"), (3,)),
        **dict.fromkeys(("ADPA", "ADPA+"), (3, 4)),
    }
    assert worlds(plan(*ready, "pairs.ready.teacher.dpo.beta=0.1")) == {
        **dict.fromkeys(("Student", "SFT", "DPO", "copy"), (3,)),
        **dict.fromkeys(("Teacher", "DCKD", "ADPA", "ADPA+"), (3, 4)),
    }


def test_a_model_of_all_worlds_answers_greedily_once(ready: tuple[str, ...]) -> None:
    p = plan(*ready, "pairs.ready.teacher.dpo.beta=0.1")
    assert [s.label for s in p.steps if s.kind.name == "rollouts"].count("rollouts of model student") == 1


def test_which_other_worlds_a_suite_names_changes_no_step_of_a_world() -> None:
    alone, among = plan("world_seeds=[1]"), plan("world_seeds=[0, 1]")
    assert {s.id for s in alone.steps} <= {s.id for s in among.steps}
