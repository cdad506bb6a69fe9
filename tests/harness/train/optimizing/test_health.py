"""A training that is lost ends at its optimizer step, with one line that says what happened where."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.optimizing.health import Moment, finite
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.train.test_train import CONTEXT, SETTINGS, preferences

METHOD = """
from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Training
from methods.batch import example_mean, seq_mean


@dataclass(frozen=True)
class Faulty:
    fine: float = 0.5
    factor: str = "nan"
    least: float = 0.0


def loss(batch, hp):
    nll = -example_mean(seq_mean(batch.chosen.logps("policy"), batch.chosen), batch)
    if nll < hp.least:
        return {"nll": nll * float("nan")}
    return {"nll": nll, "extra": nll * (0.0 if batch.progress < hp.fine else float(hp.factor))}


METHOD = Method(
    "Faulty", "breaks", Faulty(), Training(1e-3), lambda hp: Needs({"chosen": Reads((), ("policy",))}), loss
)
"""


TRAINING = {"lr": 1e-3, "epochs": 5, "batch_size": 6, "warmup": 0.0, "schedule": "constant"}
ONE_STEP = {**TRAINING, "epochs": 1, "batch_size": 12}


def faulty(
    folder: Path, hp: dict[str, Any], training: dict[str, Any] = TRAINING, **context: Any
) -> dict[str, Any]:
    """What ten steps measured of a method whose extra term is a factor of its loss once half are done."""
    folder.mkdir(exist_ok=True)
    file, out = folder / "faulty.py", folder / "out"
    file.write_text(METHOD)
    out.mkdir()
    given = preferences(folder) | {"start": tiny_folder(folder / "start", hidden=16)}
    settings = {**SETTINGS, "formula": "faulty.loss", "hp": hp, "training": training, "seed": 3}
    told = {**CONTEXT, "method": "Faulty", "method_file": str(file), **context}
    return train.run(TRAIN.work(settings, given, out, told, kept=folder / "kept"))


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_no_number_ends_the_training_at_its_step(tmp_path: Path, factor: float) -> None:
    """Of ten steps the sixth is the first of the second half."""
    with pytest.raises(ValueError) as fault:
        faulty(tmp_path, {"fine": 0.5, "factor": str(factor)})

    line, log = str(fault.value), tmp_path / "kept" / "stopped.jsonl"
    assert line.startswith(f"Faulty: seed 3: step 6 of 10: loss term extra is {factor} (loss nll ")
    assert "lr 0.001" in line and line.endswith(f"lower lr? log: {log}") and len(line.splitlines()) == 1
    kept = [json.loads(row) for row in log.read_text().splitlines()]
    assert [row["step"] for row in kept] == [6] and math.isfinite(kept[0]["nll"])


def test_a_gradient_over_the_limit_ends_it_where_the_suite_says_so(tmp_path: Path) -> None:
    big = {"fine": 0.5, "factor": 1e6}
    largest = faulty(tmp_path / "tell", big)["grad_norm"]
    assert largest["largest"] > 1e5 and 6 <= largest["step"] <= 10

    with pytest.raises(
        ValueError, match=r"step 6 of 10: the gradient norm is .*e\+0., over health\.grad_norm: 10000 "
    ):
        faulty(tmp_path / "stop", big, most_grad_norm=1e4)


def test_weights_that_the_last_step_broke_are_no_result(tmp_path: Path) -> None:
    """The one step's own loss is over what the method bears, that after it is under."""
    faulty(tmp_path / "fine", {}, ONE_STEP)
    told = json.loads((tmp_path / "fine" / "out" / "training.json").read_text())
    least = (told["before"]["nll"] + told["after"]["nll"]) / 2
    with pytest.raises(ValueError, match="Faulty: seed 3: behind step 1, the last, loss term nll is nan"):
        faulty(tmp_path / "broken", {"least": least}, ONE_STEP)
    assert not (tmp_path / "broken" / "out" / "model.safetensors").exists()


def test_an_overflow_that_the_scaler_leaves_out_is_no_fault_but_its_loss_may_be() -> None:
    assert Moment(1, {"dpo": 0.7}, math.inf, 1e-3).fault(1e4, overflowed=True) == ""
    assert Moment(1, {"dpo": math.nan}, math.inf, 1e-3).fault(1e4, overflowed=True) == "loss term dpo is nan"
    assert Moment(1, {"dpo": 0.7}, math.inf, 1e-3).fault(None) == "the gradient norm is inf"


def test_a_watched_mean_over_nothing_is_told_by_its_name() -> None:
    assert finite("Own", {"x": torch.tensor(0.5)}) == {"x": 0.5}
    with pytest.raises(ValueError, match=r"^Own: watch: y is nan; a finite sum"):
        finite("Own", {"x": torch.tensor(0.5), "y": torch.tensor(0.0) / 0})
