"""What computes answers, in a suite: part of the ids of what it writes, foretold, and looked at before."""

import sys
from pathlib import Path

import pytest

import methods
from harness.evaluate.answers import BY_MODEL
from harness.executors.options import Machine
from harness.executors.resources import Resources, Share
from harness.forecast.forecast import cost_of, device_named
from harness.plan.plan import Plan, plan
from harness.results.benchmarks import benchmarks
from harness.run import preflight
from harness.signals.rollouts import ROLLOUTS, VLLM
from harness.store.step import Step
from harness.store.step_record import from_record
from tests import suites
from tests.harness.forecast.test_forecast import sizes_of
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import TINY

SERVED, HALF = "generation.engine=vllm", "generation.dtype=bfloat16"
TWO = "generation.arguments=[--tensor-parallel-size, '2', --data_parallel_size=2]"


def planned(*overrides: str, device: str = "cpu") -> Plan:
    return plan(
        suites.load(TINY, overrides), methods.registry(), Machine(device=device), only=("DPO", "ADPA")
    )


def ids(found: Plan, *kinds: str) -> set[str]:
    return {step.id for step in found.steps if step.kind.name in kinds}


def answered(found: Plan) -> list[Step]:
    """The steps in which a model answers: rollouts, and answers to benchmarks."""
    return [step for step in found.steps if step.kind in (ROLLOUTS, BY_MODEL)]


@pytest.mark.parametrize("overrides", [(SERVED,), (HALF,), (SERVED, HALF), (SERVED, HALF, TWO)])
def test_what_computes_answers_is_part_of_their_ids_and_of_nothing_before_them(
    overrides: tuple[str, ...],
) -> None:
    usual, other = planned(), planned(*overrides)
    assert len(answered(other)) == len(answered(usual)) > 2
    assert not ids(usual, "rollouts", "answers") & ids(other, "rollouts", "answers")
    shared = ("world", "pairs", "text", "dialogues", "init", "openllm")
    assert ids(usual, *shared) & ids(other, *shared)
    trained = {s.id for s in usual.steps if s.label == "DPO"}
    assert trained and trained == {s.id for s in other.steps if s.label == "DPO"}
    spelled = planned("generation.engine=own", "generation.dtype=float32", "generation.arguments=[]")
    assert ids(spelled, "answers") == ids(usual, "answers")


def test_a_record_says_the_engine_its_dtype_and_its_arguments() -> None:
    for step in answered(planned(SERVED, HALF, TWO)):
        record = step.settings_record
        assert (record["engine"], record["dtype"], len(record["arguments"])) == ("vllm", "bfloat16", 3)
        assert from_record(step.kind.settings, record) == step.settings
    for step in answered(planned()):
        assert not {"engine", "dtype", "arguments"} & set(step.settings_record)


def test_tables_say_what_computed_the_answers() -> None:
    for overrides, note in (((), ""), ((SERVED, HALF), "answers of checkpoints by vllm in bfloat16")):
        told = benchmarks(suites.load(TINY, overrides))
        assert {c.note for c in told.get("mt-bench").columns} == {note}
        assert {c.note for c in told.get("openllm").columns} == {""}


@pytest.mark.parametrize(("more", "share"), [((), Share(1, 1.0, None)), ((TWO,), Share(1, 4.0, None))])
def test_a_step_with_a_server_asks_for_its_gpus(more: tuple[str, ...], share: Share) -> None:
    for step in answered(planned(SERVED, *more, device="cuda")):
        assert Resources().of(step) == share


def test_an_engine_that_is_not_here_ends_a_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    preflight.check(planned().steps)
    with pytest.raises(ValueError, match=r"^no `vllm` here: pip install vllm, or put"):
        preflight.check(planned(SERVED).steps)
    served = f"judges={{j: {{kind: server, model: {tiny_folder(tmp_path / 'j')}, engine: vllm}}}}"
    with pytest.raises(ValueError, match=r"^no `vllm` here: pip install vllm, or put"):
        preflight.check(planned(served, "benchmarks.mt-bench.judge=j").steps)


def test_a_forecast_of_a_server_counts_weights_read_and_says_what_it_assumes() -> None:
    card = device_named("h200")
    for one, two, three in zip(
        *(answered(p) for p in (planned(), planned(HALF), planned(SERVED, HALF))), strict=True
    ):
        own, half, served = (cost_of(s, sizes_of(planned(), None)) for s in (one, two, three))
        assert own.flops == half.flops == served.flops and own.reads == 2 * half.reads == 2 * served.reads
        assert (own.precision, served.precision) == ("float32", "bfloat16")
        assert VLLM in served.assumed and VLLM not in half.assumed
        waiting = served.sequential * served.reads / card.bandwidth
        rest = card.start + (served.loads + served.disk) / card.load
        rest += served.flops / (card.bfloat16 * card.forward)
        assert card.seconds(served) == pytest.approx(rest + waiting) and card.seconds(served) < card.seconds(
            half
        )
