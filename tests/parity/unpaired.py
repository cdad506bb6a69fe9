"""KTO, on answers that are desirable or not."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from methods.kto import KTO
from tests.methods.synthetic import EVERYTHING
from tests.parity import trainers
from tests.parity.table import Compared
from tests.parity.trainers import Trainer
from tests.parity.world import World, ours


def same(at: World) -> Iterator[Compared]:
    """Ours and TRL's on the same mismatched answers, with z0 on both sides of its bound."""
    settings = [KTO(beta=0.1), KTO(beta=0.3, desirable=1.33, undesirable=0.7)]
    for where in (at, at.turned()):
        for hp in settings:
            trainer = trainers.kto(
                where, beta=hp.beta, desirable_weight=hp.desirable, undesirable_weight=hp.undesirable
            )
            theirs = trainers.of_step(trainer, _inputs(trainer, where))
            (kl,) = trainer._metrics["eval"]["kl"]
            yield Compared(
                "KTO",
                f"beta {hp.beta}, lambda {hp.desirable} and {hp.undesirable}",
                "KTOTrainer, kto",
                ours("KTO", hp, where),
                theirs,
                f"the same mismatched answers; z0 = {kl:.2f}",
            )


def _inputs(trainer: Trainer, at: World) -> dict[str, Tensor]:
    """Chosen answers, then rejected ones; the batch of mismatched answers is half as long."""
    rows: list[dict[str, Any]] = [
        {"prompt_ids": at.prompts[i], "completion_ids": at.answers[view][i], "label": view == "chosen"}
        for view in ("chosen", "rejected")
        for i in EVERYTHING
    ]
    mismatched = trainer.data_collator(
        [
            {
                "prompt_ids": at.prompts[i],
                "completion_ids": at.answers["chosen"][i],
                "KL_completion_ids": at.answers["mismatched"][i],
                "label": True,
            }
            for i in EVERYTHING
        ]
    )
    found: dict[str, Tensor] = trainer.data_collator(rows)
    return found | {name: x for name, x in mismatched.items() if name.startswith("KL_")}
