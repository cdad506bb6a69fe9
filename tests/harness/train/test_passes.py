"""Epochs of an online method count prompts; passes over what was drawn add optimizer steps."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import methods
from harness.common import hub
from harness.common.cost import Cost
from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast.forecast import cost_of
from harness.forecast.sizes import PlanSizes
from harness.plan.plan import plan
from harness.train import step as train
from harness.train.costs import TRAIN, TrainStep, batch_and_steps
from harness.train.examples import TrainWork
from harness.train.online import Sampler
from methods.api import Training
from tests import suites
from tests.harness.train.test_online import work_of


def trained(work: TrainWork, **training: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is measured of a training, and its summary."""
    given = Training(**{"lr": 1e-3, "epochs": 2, "batch_size": 4, **training})
    measured = train.run(replace(work, settings=replace(work.settings, training=given, checkpoints=2)))
    return measured, json.loads((work.out / "training.json").read_text())


def test_every_prompt_is_answered_once_an_epoch_and_passes_are_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten prompts, two epochs, four at a time: five draws, each gone through three times: 15 steps."""
    seen: Counter[int] = Counter()
    buffers = Sampler.buffers

    def counting(self: Sampler, examples: Any, order: Iterator[list[int]], number: int = 0) -> Any:
        steps = list(order)
        seen.update(e for step in steps for e in step)
        return buffers(self, examples, iter(steps), number)

    monkeypatch.setattr(Sampler, "buffers", counting)
    measured, summary = trained(work_of(tmp_path, passes=3))
    assert measured["steps"] == summary["steps"] == 15
    assert measured["drawn"] == 20, "the probe's responses before and after are none to learn from"
    assert seen == dict.fromkeys(range(10), 2)
    assert json.loads((tmp_path / "out" / "checkpoints.json").read_text()) == {"1": 8, "2": 15}


def test_a_rate_falls_over_all_passes(tmp_path: Path) -> None:
    """Ten steps of two draws: at their end a linear rate has the last of ten parts left."""
    trained(work_of(tmp_path, passes=5, value_alone=0.0), epochs=0.8, schedule="linear", warmup=0.0)
    (line,) = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["lr"] == pytest.approx(1e-4)


def planned(passes: int) -> tuple[TrainStep, Cost]:
    """MiniLLM's step of a pocket, and what it is estimated to take."""
    suite = suites.load("pocket-all", [f"methods.MiniLLM.passes={passes}"])
    made = plan(suite, methods.registry(), Machine(), only=["MiniLLM"])
    (step,) = (s for s in made.steps if s.kind == TRAIN and s.label == "MiniLLM")
    return step, cost_of(step, PlanSizes(suite, Machine(), None, prices.load()))


def test_a_plan_counts_the_steps_of_passes_and_each_response_once() -> None:
    """Three passes more are 900 steps more, of 300, and what those read; the responses stay as they are."""
    (one, cost), (four, found) = planned(1), planned(4)
    assert batch_and_steps(one.settings, 3000) == (16, 300)
    assert batch_and_steps(four.settings, 3000) == (16, 1200)
    assert one.id != four.id
    assert found.tokens == 4 * cost.tokens
    (_, two) = planned(2)
    assert found.flops - two.flops == pytest.approx(2 * (two.flops - cost.flops))


def test_dppo_has_the_epochs_and_the_checkpoints_of_adpa() -> None:
    """Three epochs, and six checkpoints to choose from, in the comparison that has both."""
    names = ["ADPA", "DPPO[sequence]", "DPPO[token]"]
    with hub.unresolved_allowed():
        made = plan(suites.load("adpa-ablation"), methods.registry(), Machine(), only=names)
    chosen = {s.label: s.settings for s in made.steps if s.kind == TRAIN and s.settings.checkpoints}
    assert chosen.keys() == set(names)
    assert {(s.training.epochs, s.training.batch_size, s.checkpoints) for s in chosen.values()} == {
        (3, 128, 6)
    }
