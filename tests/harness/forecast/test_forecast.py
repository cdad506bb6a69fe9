"""Estimates of a plan: by hand, against what real steps record, and against models built from their sizes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import methods
from harness.common import hub
from harness.common.cost import Cost, ModelSize, Unknown
from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast.forecast import Device, cost_of, device_named, forecast
from harness.forecast.report import measured, plan_lines, record_lines, written
from harness.forecast.sizes import PlanSizes, table
from harness.models.loading import parameters
from harness.plan import plan as planning
from harness.plan.plan import Plan
from harness.signals.kinds import SIGNALS
from harness.signals.rollouts import ROLLOUTS
from harness.store.step import Step
from harness.store.store import Store
from harness.train.costs import TRAIN
from tests import suites
from tests.harness.models import architectures
from tests.paths import TINY

MEASURED_KINDS = ("answers", "judgments", "openllm")


def planned(
    *overrides: str, name: str = TINY, only: tuple[str, ...] = (), machine: Machine | None = None
) -> Plan:
    loaded = suites.load(name, overrides)
    with hub.unresolved_allowed():
        return planning.plan(loaded, methods.registry(), machine or Machine(), only=only)


def sizes_of(plan: Plan, store: Store | None, machine: Machine | None = None) -> PlanSizes:
    return PlanSizes(plan.suite, machine or Machine(), store, prices.load())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """The tiny world with a method of each sort (pairs, a teacher's signals, rollouts, a group, samples of
    the policy): all but the measuring is done.
    """
    store = Store(tmp_path_factory.mktemp("forecast"))
    plan = planned("methods.GKD.batches=2", "probe.options=[a, b]", only=("DPO", "ADPA+", "GKD", "PAD"))
    for step in plan.steps:
        if step.kind.name not in MEASURED_KINDS:
            store.make(step)
    return plan, store


@pytest.mark.parametrize("name", list(table("models")))
def test_a_models_size_is_that_of_the_model_built_from_it(name: str) -> None:
    """On no device: the parameters that harness.models.loading counts of the real architecture."""
    size = sizes_of(planned(), None).model_at(name)
    with torch.device("meta"):
        built = architectures.built(size)
    assert parameters(built) == {"body": size.body, "head": size.head}
    assert sum(p.numel() for p in built.parameters()) == size.parameters


def test_every_preset_has_a_size_for_each_of_its_models_and_data_sets() -> None:
    """No step of a shipped suite is without an estimate, with no network, no data and an empty store."""
    for name in ("adpa-llama", "adpa-ablation", "pad-gemma", "pad-llama", "smol", "real-text", "pocket"):
        plan = planned(name=name)
        sizes = sizes_of(plan, None)
        unknown = {cost_of(s, sizes).unknown for s in plan.steps}
        assert unknown == {""}, name


def test_a_training_counts_its_own_operations_within_a_tenth(finished: tuple[Plan, Store]) -> None:
    """Training, signals, probes: the estimate before the step, from its inputs' records, and the record."""
    plan, store = finished
    sizes, seen = sizes_of(plan, store), set()
    for step in plan.steps:
        if step.kind.name in ("train", "signals", "probes"):
            found, real = cost_of(step, sizes), measured(step, store)
            assert real and real.flops
            if step.label == "GKD":  # its own samples can be as long as max_tokens: an upper bound
                assert real.flops <= found.flops <= 2 * real.flops
            else:
                assert found.flops == pytest.approx(real.flops, rel=0.1), step.label
            seen.add((step.kind.name, step.label))
    assert {("train", "GKD"), ("train", "PAD"), ("train", "ADPA+"), ("train", "dpo teacher")} <= seen


def test_rollouts_that_nobody_has_written_are_an_upper_bound(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    for step in plan.steps:
        if step.kind == ROLLOUTS:
            found, real = cost_of(step, sizes_of(plan, store)), measured(step, store)
            assert real and real.flops and real.flops <= found.flops <= 4 * real.flops
            assert any("the most there can be" in note for note in found.assumed)


def test_what_is_written_to_disk_is_foretold(finished: tuple[Plan, Store]) -> None:
    """Of artifacts in which the numbers outweigh the tokenizer and the record beside them."""
    plan, store = finished
    hidden = [s for s in plan.steps if s.kind == SIGNALS and s.settings.form == "hidden"]
    assert hidden
    for step in hidden:
        folder = store.find(step)
        assert folder
        assert cost_of(step, sizes_of(plan, store)).disk == pytest.approx(written(folder), rel=0.05)


def test_what_was_counted_takes_the_place_of_what_was_assumed(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    step = next(s for s in plan.steps if s.label == "dpo teacher")
    before, after = cost_of(step, sizes_of(plan, None)), cost_of(step, sizes_of(plan, store))
    assert before.assumed and not after.assumed
    assert before.flops != after.flops


def test_a_check_sets_every_kind_beside_its_records(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    lines = list(record_lines(forecast(plan, sizes_of(plan, store), device_named("cpu")), store))
    train = next(line.split() for line in lines if line.split()[0] == "train")
    assert train[1] == str(sum(s.kind == TRAIN for s in plan.steps))
    assert 0.9 < float(train[4]) < 1.1
    assert lines[-1].split()[0] == "all"


def hand_size() -> ModelSize:
    """Body: 2 layers of (2*4*2*(2+1) + 3*4*8 + 2*4) + 4 = 2*152 + 4; head 10*4."""
    return ModelSize("llama", 4, 2, 8, 2, 1, 2, 10, True)


def test_a_models_parameters_by_hand() -> None:
    size = hand_size()
    assert (size.body, size.head, size.parameters) == (308, 40, 348)
    assert replace(size, tied=False).parameters == 388
    assert size.cache(5) == 2 * 2 * 1 * 2 * 5 * 4


def test_seconds_by_hand() -> None:
    """A peak of 100, of which training reaches a half; memory of 10 bytes a second."""
    device = Device("d", 100, 200, 1, 10, train=0.5, forward=0.25, layer=0.1, load=5, start=1, text=20)
    assert device.seconds(Cost("train", 100)) == 1 + 100 / 50
    assert device.seconds(Cost("forward", 100, "bfloat16", loads=10)) == 1 + 2 + 100 / 50
    decode = Cost("decode", 25, sequential=3, layers=2, reads=40)  # 4 s to read the weights, 0.2 s to start
    assert device.seconds(decode) == 1 + 1 + 3 * 4
    assert device.seconds(Cost("files", tokens=40, disk=5)) == 2 + 1
    assert device.seconds(Cost("judge", calls=32)) == 10


def test_memory_falls_with_fewer_tokens_and_a_smaller_batch() -> None:
    """What an id is made of does not change with them; a training keeps its weights, whatever they are."""
    usual, small = Machine(devices=1), Machine(devices=1, tokens=2048, batch=8)
    plans = [planned(name="adpa-llama", machine=m, only=("ADPA",)) for m in (usual, small)]
    assert [s.id for s in plans[0].steps] == [s.id for s in plans[1].steps]
    by_kind: dict[str, list[float]] = {}
    for plan, machine in zip(plans, (usual, small), strict=True):
        sizes = sizes_of(plan, None, machine)
        for kind in ("train", "rollouts", "answers", "signals"):
            largest = max(cost_of(s, sizes).memory for s in plan.steps if s.kind.name == kind)
            by_kind.setdefault(kind, []).append(largest)
    assert all(less < much for much, less in by_kind.values()), by_kind
    assert by_kind["train"][1] >= 16 * sizes.model_at("meta-llama/Llama-3.1-8B").parameters


def test_a_model_nobody_knows_is_said_and_counted(tmp_path: Path) -> None:
    plan = planned("pairs.smollm2.student.base=nobody/knows", name="smol", only=("SFT",))
    with pytest.raises(Unknown, match="size of nobody/knows"):
        sizes_of(plan, None).model_at("nobody/knows@main")
    found = forecast(plan, sizes_of(plan, None), device_named("4090"))
    lines = list(plan_lines(found, Store(tmp_path), 1))
    (told,) = [line for line in lines if "no estimate" in line]
    assert "size of nobody/knows is not known here" in told
    assert sum(line.endswith("[new]  -") for line in lines) == int(told.split()[3])


def test_the_rows_need_more_teacher_passes_than_the_plan_runs() -> None:
    """By hand: VanillaKD T(W), DCKD T(W, L), ADPA T and T_ref(YS), DDPO T and T_ref(W, L), and the Teacher's
    DPO stage T_ref(W, L), in float32 and so no pass of DDPO's. On two data sets.
    """
    only = ("VanillaKD", "DCKD", "ADPA", "DDPO")
    plan = planned("selection=", name="adpa-llama2", only=only)
    found = forecast(plan, sizes_of(plan, None), device_named("h200")).sharing
    rows = {"Teacher": 2, "VanillaKD": 1, "DCKD": 2, "ADPA": 2, "DDPO": 4}
    assert found.passes_needed == 2 * sum(rows.values())
    # T(W) of VanillaKD is DCKD's, and so are T(W, L) of DDPO.
    assert found.passes_run == 2 * (2 + 2 + 2 + 2)
    assert found.steps_run < found.steps_alone and found.flops_run < found.flops_alone


def test_an_unknown_device_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"--device h20: .*h200"):
        device_named("h20")


def step_at(plan: Plan, pick: Callable[[Step], bool]) -> Step:
    return next(s for s in plan.steps if pick(s))


def test_what_fits_no_card_at_any_setting_is_named(tmp_path: Path) -> None:
    """13 billion parameters at 16 bytes each are 208 GB."""
    one = Machine(devices=1, tokens=1, batch=1)
    plan = planned(name="adpa-llama2", only=("ADPA",), machine=one)
    found = forecast(plan, sizes_of(plan, None, one), device_named("h200"))
    (line,) = [line for line in plan_lines(found, Store(tmp_path), 8) if "does not fit" in line]
    assert "no single device holds these, several do (`devices`, `shard`): dpo teacher, sft teacher" in line
    assert step_at(plan, lambda s: s.label == "sft teacher") in found.too_large
