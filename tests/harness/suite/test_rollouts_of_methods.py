"""How each method's rollouts are sampled: its recipe, then the suite for all, then the suite for it."""

from pathlib import Path

import pytest

import methods
from harness.data import token_sequences
from harness.data.token_sequences import Sequences, response
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.store.step import Step
from harness.train.examples import _identical, _indices
from tests import suites
from tests.paths import TINY


def rollouts(*overrides: str) -> dict[str, Step]:
    """The student's rollouts that each row reads, by row."""
    p = planning.plan(suites.load(TINY, overrides), methods.registry(), Machine())
    view = "view.student_rollout"
    return {c.method: c.model.sources[view] for c in p.cells if view in c.model.sources}


DISTILLM = "methods.DistiLLM.skew=0.1"
PLAD = "methods.PLaD.delta=1.0"


def test_distillm_samples_and_adpa_and_plad_share_the_greedy_rollouts() -> None:
    of = rollouts(DISTILLM, PLAD)
    assert of["DistiLLM"].settings.sampling.temperature == 1.0
    assert of["ADPA"].settings.sampling.temperature == 0.0
    assert of["ADPA"].id == of["PLaD"].id != of["DistiLLM"].id
    assert of["ADPA"].id == rollouts()["ADPA"].id


def test_a_suite_overrides_for_all_and_for_one() -> None:
    of = rollouts(DISTILLM, PLAD, "generation.temperature=0.0")
    assert len({step.id for name, step in of.items() if name != "ADPA+"}) == 1  # greedy, all of them
    of = rollouts(DISTILLM, PLAD, "methods.ADPA.rollouts={temperature: 1.0}")
    assert of["ADPA"].id == of["DistiLLM"].id != of["PLaD"].id
    of = rollouts(
        "generation.temperature=0.7", "methods.ADPA.rollouts={temperature: 0.5, top_p: 0.9, samples: 3}"
    )
    found = of["ADPA"].settings
    assert (found.sampling.temperature, found.sampling.top_p, found.samples) == (0.5, 0.9, 3)
    assert of["ADPA+"].settings.sampling.temperature == 0.7


@pytest.mark.parametrize(
    "given, fault",
    [
        ("ADPA.rollouts={temperatur: 1}", "rollouts.temperatur: unknown key; did you mean 'temperature'?"),
        ("ADPA.rollouts={temperature: -1}", "methods.ADPA.rollouts.temperature: given -1;"),
        ("ADPA.rollouts={samples: 2}", "samples: given 2; greedy responses (temperature 0)"),
        ("ADPA.rollout={samples: 2}", "methods.ADPA.rollout: unknown key; did you mean 'rollouts'?"),
        ("DPO.rollouts={temperature: 1}", "methods.DPO.rollouts: DPO reads chosen, rejected, and no"),
    ],
)  # fmt: skip
def test_what_cannot_be_sampled_is_one_line(given: str, fault: str) -> None:
    with pytest.raises(ValueError) as told:
        rollouts("methods." + given)
    assert fault in str(told.value) and "\n" not in str(told.value)


def test_each_of_several_rollouts_makes_an_example(tmp_path: Path) -> None:
    """Row 5 has two of each model, row 7 one of the teacher, whose other was cut, and row 9 none of it."""
    written = {
        "chosen": [(5, 1), (7, 1), (9, 1)],
        "teacher_rollout": [(5, 1), (5, 2), (7, 3)],
        "student_rollout": [(5, 1), (5, 4), (7, 5), (7, 6), (9, 1), (9, 2)],
    }
    for name, rows in written.items():
        token_sequences.write(tmp_path / name, [response(row, [0], [answer]) for row, answer in rows])
    views = {name: Sequences(tmp_path / name) for name in written}
    found = _indices(views)
    assert {name: of.tolist() for name, of in found.items()} == {
        "chosen": [[0], [0], [1]],
        "teacher_rollout": [[0], [1], [2]],
        "student_rollout": [[0], [1], [2]],
    }
    assert _identical(views, found) == {0}
