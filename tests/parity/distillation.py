"""GKD's generalised Jensen-Shannon divergence, its limits, and its mix of data."""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor
from trl.trainer.distillation_trainer import _chunked_divergence_loss

from harness.models.loading import body
from harness.models.policy import pad
from methods.batch import ViewName
from methods.gkd import GKD
from tests.parity import trainers
from tests.parity.table import Compared, Result
from tests.parity.world import World, ours

LIMITS = {"GKD[forward]": 0.0, "GKD[reverse]": 1.0}  # entry -> TRL's beta
VIEWS: tuple[ViewName, ViewName] = ("chosen", "policy_rollout")


def same(at: World) -> Iterator[Compared]:
    """Ours and TRL's expected loss over its draw of which data a step is of."""
    for b in (0.1, 0.5, 0.9):
        yield _compared("GKD", GKD(student_share=0.5, b=b), b, at)
    for name, b in LIMITS.items():
        yield _compared(name, GKD(student_share=0.5), b, at)
    yield _compared("GKD", GKD(student_share=0.25, b=0.3), 0.3, at)
    hp = GKD(student_share=0.0, b=0.5)
    for name, b in {"GKD": 0.5, **LIMITS}.items():
        source = f"`_chunked_divergence_loss`, beta {b}"
        reading = "what DistillationTrainer calls, on our hidden states"
        yield Compared(name, _setting(name, hp), source, ours(name, hp, at), _chunked(at, b), reading)


def _compared(name: str, hp: GKD, b: float, at: World) -> Compared:
    return Compared(
        name,
        _setting(name, hp),
        f"GKDTrainer, beta {b}",
        ours(name, hp, at),
        _mixed(at, b, hp.student_share),
        "TRL's mean over its draw of data or rollout",
    )


def _setting(name: str, hp: GKD) -> str:
    """What the entry reads; the limits read no b."""
    return f"student_share {hp.student_share}" + (f", b {hp.b}" if name == "GKD" else "")


def _mixed(at: World, b: float, share: float) -> Result:
    """TRL draws with `lmbda` whether a step is of the rollout; this is the mean over the draw."""
    trainer = trainers.gkd(at, beta=b, lmbda=share)
    shares = dict(zip(VIEWS, (1 - share, share), strict=True))

    def loss() -> Tensor:
        each = [shares[v] * trainer.compute_loss(trainer.model, _inputs(at, v)) for v in VIEWS]
        return torch.stack(each).sum()

    return trainers.of_loss(trainer.model, loss)


def _chunked(at: World, b: float) -> Result:
    """The loss of TRL's DistillationTrainer on the chosen answers, from hidden states and heads."""
    inputs, policy, teacher = _inputs(at, "chosen"), deepcopy(at.policy), at.frozen["teacher"]
    with torch.no_grad():
        states = body(teacher, inputs["input_ids"])[:, :-1]

    def loss() -> Tensor:
        return _chunked_divergence_loss(
            student_hidden_states=body(policy, inputs["input_ids"])[:, :-1],
            teacher_hidden_states=states,
            student_lm_head_weight=policy.lm_head.weight,
            teacher_lm_head_weight=teacher.lm_head.weight.detach(),
            completion_mask=inputs["labels"][:, 1:] != -100,
            beta=b,
        )[0]

    return trainers.of_loss(policy, loss)


def _inputs(at: World, view: ViewName) -> dict[str, Tensor]:
    rows = list(zip(at.prompts, at.answers[view], strict=True))
    ids = pad([[*prompt, *answer] for prompt, answer in rows])
    there = pad([[1] * len(prompt + answer) for prompt, answer in rows])
    said = pad([[0] * len(prompt) + [1] * len(answer) for prompt, answer in rows])
    return {"input_ids": ids, "attention_mask": there, "labels": ids.masked_fill(said == 0, -100)}
