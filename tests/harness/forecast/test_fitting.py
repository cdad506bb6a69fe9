"""Trainings that are fitted to a card, and cards that the table has or has not."""

from pathlib import Path

import pytest

import methods
from harness.common import hub
from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast.cards import of_card
from harness.forecast.fitting import fitted
from harness.forecast.forecast import Forecast, device_named, forecast
from harness.forecast.report import plan_lines
from harness.forecast.sizes import PlanSizes
from harness.plan import plan as planning
from harness.store.store import Store
from harness.train.costs import TRAIN
from tests import suites


def found(
    *overrides: str, card: str = "h200", machine: Machine | None = None, name: str = "adpa-llama"
) -> Forecast:
    machine = machine or Machine(devices=1)
    with hub.unresolved_allowed():
        plan = planning.plan(
            suites.load(name, ["selection=", *overrides]), methods.registry(), machine, only=["DPO"]
        )
    sizes = PlanSizes(plan.suite, machine, None, prices.load())
    return forecast(fitted(plan, sizes, device_named(card)), sizes, device_named(card))


def how(f: Forecast, label: str) -> tuple[int, str, int, object, bool]:
    step = next(s for s in f.plan.steps if s.label == label and s.kind == TRAIN)
    c = step.context
    return c["processes"], c["shard"], c["tokens"], c["checkpointing"], c.get("foreach", True)


def test_an_8b_teacher_fits_one_h200_and_nothing_has_another_id(tmp_path: Path) -> None:
    f = found()
    assert how(f, "dpo teacher") == (1, "", 8192, True, False)
    assert how(f, "DPO") == (1, "", 16384, False, True)
    assert not f.too_large
    with hub.unresolved_allowed():
        suite = suites.load("adpa-llama", ["selection="])
        plain = planning.plan(suite, methods.registry(), Machine(), only=["DPO"])
    assert [s.id for s in plain.steps] == [s.id for s in f.plan.steps]
    lines = [line.strip() for line in plan_lines(f, Store(tmp_path), 1)]
    told = "recomputed layers, micro-batches of 8,192 positions, AdamW without `foreach`"
    assert f"{told}: dpo teacher, sft teacher" in lines


def test_what_no_card_holds_is_sharded_over_as_few_as_do() -> None:
    """The 8B teacher on cards of 85 GB, where the suite does not say how many; its student needs one."""
    alone = [
        f"pairs.llama.teacher.{stage}.{key}=" for stage in ("sft", "dpo") for key in ("shard", "devices")
    ]
    f = found(*alone, card="h100", machine=Machine(devices=8))
    devices, shard, _, recomputed, _ = how(f, "sft teacher")
    assert (devices, shard, recomputed) == (3, "fsdp2", True)
    assert TRAIN not in {s.kind for s in f.too_large}
    assert how(f, "DPO")[:2] == (1, "")
    step = next(s for s in f.plan.steps if s.label == "sft teacher")
    assert f.costs[step.id].devices == 3
    # What the command line says is not changed, nor what the suite says of recomputed layers.
    f = found(*alone, "engine.checkpointing=false", card="h100", machine=Machine(devices=8, processes=1))
    assert how(f, "sft teacher")[:2] == (1, "") and how(f, "sft teacher")[3] is False
    assert "sft teacher" in {s.label for s in f.too_large}


EIGHT_BIT = ("pairs.{}.teacher.sft.optimizer=adamw8bit", "pairs.{}.teacher.dpo.optimizer=adamw8bit")


def test_in_8_bits_two_cards_of_80_gb_hold_the_8b_teacher_and_one_h200_that_of_13b(tmp_path: Path) -> None:
    """10.03 bytes a parameter: 81 GB of 8 billion, half of that on each of two; 131 GB of 13 billion."""
    alone = [f"pairs.llama.teacher.{s}.{key}=" for s in ("sft", "dpo") for key in ("shard", "devices")]
    eight_bit = [key.format("llama") for key in EIGHT_BIT]
    f = found(*alone, *eight_bit, card="h100", machine=Machine(devices=8))
    assert how(f, "dpo teacher") == (2, "fsdp2", 16384, True, True)
    assert TRAIN not in {s.kind for s in f.too_large}
    f = found(*eight_bit)
    assert how(f, "dpo teacher")[:2] == (1, "") and not f.too_large

    large = found(*(key.format("llama2") for key in EIGHT_BIT), name="adpa-llama2")
    assert how(large, "dpo teacher") == (1, "", 4096, True, True)
    assert TRAIN not in {s.kind for s in large.too_large}
    lines = [line.strip() for line in plan_lines(large, Store(tmp_path), 1)]
    told = "recomputed layers, micro-batches of 4,096 positions, AdamW in 8 bits"
    assert f"{told}: dpo teacher, sft teacher" in lines


def test_eight_devices_share_the_teachers_stages_as_the_preset_says() -> None:
    f = found(machine=Machine(devices=8))
    assert how(f, "sft teacher")[:2] == (8, "fsdp2") and not f.too_large
    one, eight = found().on(1), f.on(8)
    assert eight.makespan < 6 * 3600 < one.makespan


def test_a_sharding_file_is_counted_in_memory_and_devices() -> None:
    """Sixteen bytes a parameter over four processes, and the layers and embeddings that are whole."""
    whole, sharded = found(), found(machine=Machine(processes=4, accelerate_config="f", shard="fsdp2"))
    step = next(s for s in whole.plan.steps if s.label == "sft teacher")
    assert sharded.costs[step.id].devices == 4
    assert sharded.costs[step.id].fixed < 0.4 * whole.costs[step.id].fixed


def test_a_known_card_has_its_own_rates_and_what_torch_says_of_its_memory() -> None:
    card = of_card("NVIDIA H100 80GB HBM3", 84_929_675_264)
    assert (card.name, card.memory, card.note) == ("h100", 84_929_675_264, "")
    assert card.bandwidth == device_named("h100").bandwidth
    assert of_card("NVIDIA GeForce RTX 4090", 25_386_352_640).name == "4090"


@pytest.mark.parametrize(
    ("name", "memory", "rates"),
    [("NVIDIA B200", 192e9, "h200"), ("NVIDIA L4", 24e9, "4090"), ("NVIDIA RTX A6000", 51e9, "a100")],
)
def test_an_unknown_card_is_named_and_its_rates_are_said_to_be_assumed(
    name: str, memory: float, rates: str, tmp_path: Path
) -> None:
    card = of_card(name, int(memory))
    assert (card.name, card.memory) == (name, memory)
    assert card.bfloat16 == device_named(rates).bfloat16
    f = found()
    first = next(iter(plan_lines(forecast(f.plan, f.sizes, card), Store(tmp_path), 1)))
    assert f"1 x {name}" in first and f"the rates of {rates}, whose memory is nearest" in first
