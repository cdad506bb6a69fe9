"""The dtype of a frozen model that measures: a setting of its benchmark, in ids where it is not float32, told
in records and below tables.
"""

from pathlib import Path

import pytest

import methods
from harness.common.files import write_json_lines
from harness.evaluate import openllm
from harness.executors.options import Machine
from harness.forecast.forecast import cost_of, device_named
from harness.plan.plan import Plan, plan
from harness.results.benchmarks import benchmarks
from harness.store.step import Step
from tests import goldens, suites
from tests.harness.forecast.test_forecast import sizes_of
from tests.harness.signals.test_reward_model import reward_folder
from tests.paths import TINY

HALF = "benchmarks.openllm.dtype=bfloat16"


def planned(*overrides: str, name: str = TINY) -> Plan:
    return plan(suites.load(name, overrides), methods.registry(), Machine(), only=("SFT",))


def steps(found: Plan, kind: str) -> list[Step]:
    return [step for step in found.steps if step.kind.name == kind]


def test_only_another_dtype_than_float32_is_part_of_an_id() -> None:
    usual, half = (steps(p, "openllm") for p in (planned(), planned(HALF)))
    assert [s.id for s in usual] == [
        s.id for s in steps(planned("benchmarks.openllm.dtype=float32"), "openllm")
    ]
    assert len(half) == len(usual) > 0 and not {s.id for s in half} & {s.id for s in usual}
    assert {s.settings.dtype for s in half} == {"bfloat16"}
    with pytest.raises(ValueError, match=r"openllm.dtype: .*float16.*float32.*bfloat16"):
        planned("benchmarks.openllm.dtype=float16")


def test_a_forecast_follows_the_dtype() -> None:
    """An H200 multiplies in bfloat16 faster than in float32 without TF32, and reads half the bytes."""
    usual, half = planned(), planned(HALF)
    costs = [cost_of(steps(p, "openllm")[0], sizes_of(p, None)) for p in (usual, half)]
    assert [c.precision for c in costs] == ["float32", "bfloat16"]
    assert costs[0].flops == costs[1].flops and costs[0].loads == 2 * costs[1].loads
    card = device_named("h200")
    assert card.seconds(costs[0]) > card.seconds(costs[1])


def test_a_reward_model_scores_answers_and_their_reference_in_one_dtype(tmp_path: Path) -> None:
    model = f"benchmarks.reward.model={reward_folder(tmp_path / 'reward')}"
    usual, half = planned(model), planned(model, "benchmarks.reward.dtype=bfloat16")
    for found, dtype in ((usual, "float32"), (half, "bfloat16")):
        scored = steps(found, "rewards")
        assert {s.settings.dtype for s in scored} == {dtype}
        assert any(s.label == "rewards of validation chosen" for s in scored)


def test_records_and_notes_say_the_dtype(tmp_path: Path) -> None:
    row = {"task": "arc", "version": "1.0", "num_fewshot": 25, "document": "0-ab", "value": 1.0}
    write_json_lines(tmp_path / "results.jsonl", [row])
    write_json_lines(tmp_path / "details.jsonl", [{"task": "arc", "document": "0-ab", "truncated": False}])
    for overrides, version, note in (
        ((), "1.0, 25-shot", ""),
        ((HALF,), "1.0, 25-shot, bfloat16", "computed in bfloat16"),
    ):
        suite = suites.load(TINY, overrides)
        (value,) = openllm.read(suite.benchmarks.chosen["openllm"], {"results": tmp_path})
        assert value.version == version
        assert {c.note for c in benchmarks(suite).get("openllm").columns} == {note}


def test_the_papers_numbers_are_measured_in_the_dtype_of_lm_evals_own_load(tmp_path: Path) -> None:
    """lm-eval takes a checkpoint's dtype, which is bfloat16 of every model of ADPA's pairs."""
    with goldens.offline(tmp_path):
        paper, own = (suites.load(name).benchmarks.settings_by_name() for name in ("adpa-llama", "pocket"))
    assert (paper["openllm"].dtype, own["openllm"].dtype) == ("bfloat16", "float32")
