"""The training loop: the seed fixes the order, processes and micro-batches only share the work."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.common.tokenizer import load_tokenizer
from harness.data import token_sequences
from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.micro_batches.order import orders
from methods.api import Training
from tests.bench_command import SECONDS, forked
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.harness.signals.test_signals import stored

SETTINGS = {
    "formula": "methods.dpo.loss",
    "training": {"lr": 3e-3, "epochs": 2, "batch_size": 6},
    "seed": 0,
    "precision": "no",
}
CONTEXT = {
    "device": "cpu",
    "tokens": 10_000,
    "method_file": None,
}


def preferences(folder: Path, count: int = 12) -> dict[str, Path]:
    """Pairs of uneven length as `chosen` and `rejected`."""
    draw = torch.Generator().manual_seed(0)
    for side in ("chosen", "rejected"):
        rows = []
        for row in range(count):
            prompt, answer = torch.randint(2, 12, (2,), generator=draw).tolist()
            ids = torch.randint(4, VOCAB, (prompt + answer,), generator=draw).tolist()
            rows.append(token_sequences.response(row, ids[:prompt], ids[prompt:]))
        token_sequences.write(folder / side, rows)
    return {f"view.{side}": folder / side for side in ("chosen", "rejected")}


def inputs(folder: Path, reference_seed: int = 0, hidden: int = 16) -> dict[str, Path]:
    """What a DPO step reads; another seed makes a reference that is not the start."""
    start = tiny_folder(folder / "start", hidden=hidden)
    reference = tiny_folder(folder / "reference", hidden=hidden, seed=reference_seed)
    found = {"start": start, **preferences(folder)}
    for side in ("chosen", "rejected"):
        found[f"signal.{side}.ref"] = stored(folder / f"ref_{side}", reference, folder / side, form="logps")
    return found


def trained(
    out: Path, given: dict[str, Path], settings: dict[str, Any], **context: Any
) -> dict[str, torch.Tensor]:
    out.mkdir()
    told = {**SETTINGS, "hp": {"beta": 0.5}, **settings}
    train.run(TRAIN.work(told, given, out, {**CONTEXT, "method": "DPO", **context}))
    return load_file(out / "model.safetensors")


def test_the_order_of_examples_is_a_permutation_an_epoch_and_the_seeds_alone() -> None:
    steps = list(orders(10, 4, 5, seed=3))
    assert steps == list(orders(10, 4, 5, seed=3)) != list(orders(10, 4, 5, seed=4))
    flat = [e for step in steps for e in step]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))


def test_micro_batches_do_not_change_what_is_learned(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    whole = trained(tmp_path / "whole", given, {})
    split = trained(tmp_path / "split", given, {}, tokens=40)
    recomputed = trained(tmp_path / "recomputed", given, {}, head="recompute")

    for name, weight in whole.items():
        torch.testing.assert_close(split[name], weight, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(recomputed[name], weight, rtol=1e-4, atol=1e-6)


def test_checkpoints_are_float32_and_what_changed_is_told(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    weights = trained(tmp_path / "out", given, {"precision": "bf16"})
    told = json.loads((tmp_path / "out" / "training.json").read_text())

    assert {w.dtype for w in weights.values()} == {torch.float32}
    assert told["steps"] == 4
    assert told["after"]["dpo"] < told["before"]["dpo"]
    start = load_file(given["start"] / "model.safetensors")
    moved = sum(int((weights[n] != start[n]).sum()) for n in weights)
    assert told["moved"] == moved / sum(w.numel() for w in weights.values())


def test_a_reference_that_is_not_the_start_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"before the first step dpo is .* and must be 0\.693147"):
        trained(tmp_path / "out", inputs(tmp_path, reference_seed=1), {})


@pytest.mark.parametrize("name, term", [("WPO", "wpo"), ("DDPO", "ddpo"), ("DDPO[unscaled]", "ddpo")])
def test_a_loss_whose_start_depends_on_the_examples_finds_a_wrong_reference_too(
    name: str, term: str, tmp_path: Path
) -> None:
    """With the right one the training ends; the micro-batches are of a few examples."""
    hp = {"beta": 0.5}

    def given(folder: Path, reference_seed: int) -> dict[str, Path]:
        folder.mkdir()
        found = inputs(folder, reference_seed)
        for role, seed in (("teacher", 2), ("teacher_ref", 3)):
            model = tiny_folder(folder / role, seed=seed)
            for side in ("chosen", "rejected") if term == "ddpo" else ():
                found[f"signal.{side}.{role}"] = stored(
                    folder / f"{role}_{side}", model, folder / side, form="logps"
                )
        return found

    trained(tmp_path / "out", given(tmp_path / "right", 0), {"hp": hp}, method=name, tokens=40)
    with pytest.raises(
        ValueError, match=rf"{re.escape(name)}: before the first step {term} is .* and must be"
    ):
        trained(tmp_path / "none", given(tmp_path / "wrong", 1), {"hp": hp}, method=name, tokens=40)


def test_a_loss_that_is_not_finite_stops_the_step_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"DPO: seed 0: step [0-9]+ of [0-9]+: .* lower lr"):
        trained(tmp_path / "out", inputs(tmp_path), {"training": {"lr": 1e30, "epochs": 3, "batch_size": 6}})


PROGRESS = """
from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Training
from methods.batch import example_mean, seq_mean


@dataclass(frozen=True)
class Nothing:
    pass


def loss(batch, hp):
    score = example_mean(seq_mean(batch.chosen.logps("policy"), batch.chosen), batch)
    return {"progress": batch.progress + 0 * score}


METHOD = Method(
    "Progress", "none", Nothing(), Training(1e-3), lambda hp: Needs({"chosen": Reads((), ("policy",))}), loss
)
"""


def test_a_loss_knows_how_much_of_the_training_is_done(tmp_path: Path) -> None:
    """20 steps: 9 of them before the tenth and 19 before the last."""
    out, file = tmp_path / "out", tmp_path / "progress.py"
    file.write_text(PROGRESS)
    training = {"lr": 1e-3, "epochs": 10, "batch_size": 6}
    told = {"formula": "progress.loss", "hp": {}, "training": training}
    trained(
        out,
        preferences(tmp_path) | {"start": tiny_folder(tmp_path / "start", hidden=16)},
        told,
        method="Progress",
        method_file=str(file),
    )
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    found = {line["step"]: line["progress"] for line in lines}
    assert found == pytest.approx({10: 9 / 20, 20: 19 / 20})


def test_a_batch_larger_than_the_set_is_told_as_what_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    settings = {**SETTINGS, "hp": {"beta": 0.5}, "training": {"lr": 1e-3, "batch_size": 128}}
    measured = train.run(TRAIN.work(settings, inputs(tmp_path), out, {**CONTEXT, "method": "DPO"}))

    assert (measured["batch_size"], measured["steps"], measured["examples"]) == (12, 1, 12)


CONSTANT = {"lr": 3e-3, "batch_size": 6, "schedule": "constant", "warmup": 0.0}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_checkpoints_are_the_weights_after_their_step_and_change_nothing(tmp_path: Path) -> None:
    """Four steps, of which three are kept: 4/3, 8/3 and 4, rounded."""
    given = inputs(tmp_path)
    plain = trained(tmp_path / "plain", given, {"training": {**CONSTANT, "epochs": 2}})
    final = trained(tmp_path / "kept", given, {"training": {**CONSTANT, "epochs": 2}, "checkpoints": 3})

    kept = tmp_path / "kept" / "checkpoints"
    assert equal(plain, final) and not (tmp_path / "plain" / "checkpoints").exists()
    assert json.loads((tmp_path / "kept" / "checkpoints.json").read_text()) == {"1": 1, "2": 3, "3": 4}
    assert equal(load_file(kept / "3" / "model.safetensors"), final)
    for name, step in (("1", 1), ("2", 3)):
        short = {"training": {**CONSTANT, "epochs": step / 2}}
        stopped = trained(tmp_path / f"stopped {step}", given, short)
        found = load_file(kept / name / "model.safetensors")
        assert equal(found, stopped) and not equal(found, final)
    assert {w.dtype for w in load_file(kept / "1" / "model.safetensors").values()} == {torch.float32}
    assert load_tokenizer(kept / "1").chat_template == load_tokenizer(given["start"]).chat_template


def test_checkpoints_are_evenly_spaced_and_never_on_one_step() -> None:
    """Each stands at most half a step from k / n of the way."""
    for steps in range(1, 40):
        for count in range(1, steps + 1):
            marks = train.marks(steps, count)
            assert len(set(marks)) == count and marks == sorted(marks)
            assert marks[0] >= 1 and marks[-1] == steps
            assert all(abs(at - k * steps / count) <= 0.5 for k, at in enumerate(marks, 1))


def test_more_checkpoints_than_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoints: 5, of a training of 4 optimizer steps"):
        trained(tmp_path / "out", inputs(tmp_path), {"checkpoints": 5})


def test_published_training_has_every_field_that_the_loop_reads() -> None:
    assert set(SETTINGS["training"]) <= set(Training.__dataclass_fields__)  # type: ignore[call-overload]


def trained_as_one_of_two(rank: int, port: int, given: dict[str, Path], folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(port)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    out = folder / f"rank {rank}"
    out.mkdir()
    told = {**SETTINGS, "hp": {"beta": 0.5}, "checkpoints": 2}
    train.run(TRAIN.work(told, given, out, {**CONTEXT, "method": "DPO", "tokens": 60}))


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Gradients are synchronised: float32 sums in another order differ by 1e-7 a step, AdamW amplifies the
    small.
    """
    given = inputs(tmp_path)
    alone = trained(tmp_path / "alone", given, {})
    port = 20_000 + os.getpid() % 10_000  # of those that no connection is given before the processes meet
    ranks = [forked(trained_as_one_of_two, rank, port, given, tmp_path) for rank in range(2)]
    for rank in ranks:
        rank.join(SECONDS)
    assert [rank.exitcode for rank in ranks] == [0, 0]

    assert not list((tmp_path / "rank 1").iterdir()), "one process writes, the folder is everyone's"
    assert {p.name for p in (tmp_path / "rank 0" / "checkpoints").iterdir()} == {"1", "2"}
    both = load_file(tmp_path / "rank 0" / "model.safetensors")
    start = load_file(given["start"] / "model.safetensors")
    lines = [(tmp_path / who / "metrics.jsonl").read_text().splitlines()[-1] for who in ("alone", "rank 0")]
    told = [json.loads(line) for line in lines]
    assert told[1] == pytest.approx(told[0], rel=1e-3) and told[0]["reward_margin"] > 0
    for name, weight in alone.items():
        torch.testing.assert_close(both[name], weight, rtol=1e-4, atol=1e-6)
        assert not torch.equal(weight, start[name])


def test_what_the_environment_says_of_accelerate_divides_no_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a second division by counts, nor a compiler that the suite does not name."""
    given = inputs(tmp_path)
    plain = trained(tmp_path / "plain", given, {})
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    told = trained(tmp_path / "told", given, {})
    assert all(torch.equal(plain[name], told[name]) for name in plain)
    assert (tmp_path / "plain/metrics.jsonl").read_text() == (tmp_path / "told/metrics.jsonl").read_text()
