"""Losses of pairs, as their authors' functions say them of logits and labels."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tests.golden.authors.code import functions
from tests.golden.authors.tensors import Tensors

Files = Mapping[str, str]  # path in the repository -> source
CPU = SimpleNamespace(device="cpu", reduce=lambda x, reduction: x)


def dpo(files: Files, at: Tensors, hp: dict[str, Any], ipo: bool = False) -> Tensor:
    authors = functions(files["trainers.py"], "preference_loss", "_get_batch_logps")
    logps = [
        authors._get_batch_logps(at.logits(role, view), at.labels(view))
        for role in ("policy", "ref")
        for view in ("chosen", "rejected")
    ]
    smoothing = hp.get("eps", 0.0)
    return authors.preference_loss(*logps, beta=hp["beta"], label_smoothing=smoothing, ipo=ipo)[0].mean()


def ipo(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return dpo(files, at, hp, ipo=True)


def simpo(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    names = ("simpo_loss", "get_batch_logps")
    authors = functions(files["scripts/simpo_trainer.py"], *(f"SimPOTrainer.{name}" for name in names))
    trainer = SimpleNamespace(
        accelerator=CPU,
        beta=hp["beta"],
        gamma_beta_ratio=hp["ratio"],
        loss_type="sigmoid",
        label_smoothing=0.0,
    )
    logps = [
        authors.get_batch_logps(at.logits("policy", view), at.labels(view), average_log_prob=True)
        for view in ("chosen", "rejected")
    ]
    return authors.simpo_loss(trainer, *logps)[0].mean()


def wpo(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    names = ("get_batch_logps", "dpo_loss")
    authors = functions(files["scripts/run_wpo.py"], *(f"WPOTrainer.{name}" for name in names))
    trainer = SimpleNamespace(accelerator=CPU, beta=hp["beta"], label_smoothing=0.0, reference_free=False)
    both = ("chosen", "rejected")
    logps, weights = authors.get_batch_logps(at.logits("policy", *both), at.labels(*both))
    ref, _ = authors.get_batch_logps(at.logits("ref", *both), at.labels(*both))
    return authors.dpo_loss(trainer, *logps.chunk(2), *ref.chunk(2), weights)[0].mean()


def tdpo(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    authors = functions(files["trainers.py"], "tdpo_loss", "_tdpo_get_batch_logps")
    (r_w, kl_w, _), (r_l, kl_l, _) = (
        authors._tdpo_get_batch_logps(at.logits("policy", view), at.logits("ref", view), at.labels(view))
        for view in ("chosen", "rejected")
    )
    return authors.tdpo_loss(r_w, r_l, kl_w, kl_l, beta=hp["beta"], alpha=hp["alpha"])[0].mean()


def kto(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    names = ("BasicTrainer.get_batch_logps", "BasicTrainer.get_sequence_rewards", "KTOTrainer.loss")
    authors = functions(files["train/trainers.py"], *names)
    loss = SimpleNamespace(
        beta=hp["beta"], desirable_weight=hp["desirable"], undesirable_weight=hp["undesirable"]
    )
    trainer = SimpleNamespace(
        accelerator=CPU, policy_dtype=torch.float64, config=SimpleNamespace(humanline=False, loss=loss)
    )
    trainer.get_sequence_rewards = lambda *logps: authors.get_sequence_rewards(trainer, *logps)
    logps = [
        authors.get_batch_logps(trainer, at.logits(role, view), at.labels(view))
        for role in ("policy", "ref")
        for view in ("chosen", "rejected", "mismatched")
    ]
    return authors.loss(trainer, {}, *logps)[0].mean()


def orpo(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    names = ("compute_loss", "compute_logps")
    wandb = SimpleNamespace(log=lambda values: None)
    authors = functions(files["src/orpo_trainer.py"], *(f"ORPOTrainer.{name}" for name in names), wandb=wandb)
    trainer = SimpleNamespace(label_smoother=None, disable_prompt_loss=True, pad=0, alpha=hp["weight"])
    trainer.compute_logps = lambda **inputs: authors.compute_logps(trainer, **inputs)
    positive, negative = at.ids("chosen"), at.ids("rejected")
    inputs = {
        "positive_input_ids": positive,
        "negative_input_ids": negative,
        "positive_attention_mask": (positive != 0).long(),
        "negative_attention_mask": (negative != 0).long(),
        "attention_mask": ((positive != 0) & (at.labels("chosen") == -100)).long(),
    }
    return authors.compute_loss(trainer, lambda **asked: _of_labels(at, **asked), inputs)


def _of_labels(at: Tensors, input_ids: Tensor, labels: Tensor, **_: Any) -> SimpleNamespace:
    """What a causal language model returns: logits, and the mean negative log-prob of the next labels."""
    logits = at.model("policy", input_ids)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    return SimpleNamespace(logits=logits, loss=loss)
