"""Losses of pairs against a reference: DPO, rDPO, cDPO, IPO and WPO."""

from collections.abc import Iterator

import torch
from torch import Tensor

from methods.dpo import DPO
from methods.ipo import IPO
from methods.smoothed_dpo import SmoothedDPO
from methods.wpo import WPO
from tests.methods.synthetic import EVERYTHING
from tests.parity import trainers
from tests.parity.table import Compared, Result
from tests.parity.trainers import Trainer
from tests.parity.world import World, ours

BELOW_CAP = [1, 2, 4, 5, 7]  # pairs whose weight in WPO is below 1: those of no likeliest answer


def same(at: World) -> Iterator[Compared]:
    """Ours and TRL's where both are one formula."""
    for beta in (0.1, 0.5):
        theirs = _dpo(at, EVERYTHING, loss_type=["sigmoid"], beta=beta)
        yield Compared("DPO", f"beta {beta}", "DPOTrainer, sigmoid", ours("DPO", DPO(beta), at), theirs)
    hp = SmoothedDPO(beta=0.3, eps=0.1)
    theirs = _dpo(at, EVERYTHING, loss_type=["robust"], beta=hp.beta, label_smoothing=hp.eps)
    yield Compared("rDPO", "beta 0.3, eps 0.1", "DPOTrainer, robust", ours("rDPO", hp, at), theirs)
    yield from _cdpo(at, hp)
    for beta in (0.1, 0.5):
        yield from _ipo(at, beta)
    hp_wpo = WPO(beta=0.1)
    theirs = _dpo(at, BELOW_CAP, loss_type=["sigmoid"], use_weighting=True, beta=hp_wpo.beta)
    found = ours("WPO", hp_wpo, at, BELOW_CAP)
    reading = "pairs of weight < 1: TRL has no cap"
    yield Compared("WPO", "beta 0.1", "DPOTrainer, sigmoid, use_weighting", found, theirs, reading)


def differing(at: World) -> Iterator[Compared]:
    """Where TRL computes something else under the name."""
    theirs = _dpo(at, EVERYTHING, loss_type=["sigmoid"], use_weighting=True, beta=0.1)
    reading = "TRL does not cut a pair's weight at 1"
    yield Compared("WPO", "beta 0.1", "DPOTrainer, use_weighting", ours("WPO", WPO(0.1), at), theirs, reading)
    hp = SmoothedDPO(beta=0.3, eps=0.1)
    theirs = _dpo(at, EVERYTHING, loss_type=["sigmoid"], beta=hp.beta, label_smoothing=hp.eps)
    reading = "TRL's sigmoid loss does not read label_smoothing: it is DPO"
    source = "DPOTrainer, sigmoid, label_smoothing"
    yield Compared("cDPO", "beta 0.3, eps 0.1", source, ours("cDPO", hp, at), theirs, reading)
    theirs = _dpo(at, EVERYTHING, loss_type=["ipo"], beta=0.1)
    reading = "TRL averages over a response's tokens, as IPO[mean]"
    yield Compared("IPO", "beta 0.1", "DPOTrainer, ipo", ours("IPO", IPO(0.1), at), theirs, reading)


def _dpo(at: World, step: list[int], **hp: object) -> Result:
    trainer = trainers.dpo(at, **hp)
    return trainers.of_step(trainer, trainers.pairs(trainer, at, step))


def _cdpo(at: World, hp: SmoothedDPO) -> Iterator[Compared]:
    """TRL has it under no name of its own, and in two places."""
    found = ours("cDPO", hp, at)
    setting = "beta 0.3, eps 0.1"
    trainer = trainers.dpo(at, loss_type=["aot_unpaired"], beta=hp.beta, label_smoothing=hp.eps)
    each = [trainers.pairs(trainer, at, [i]) for i in EVERYTHING]

    def one_by_one() -> Tensor:
        return torch.stack([trainer.compute_loss(trainer.model, inputs) for inputs in each]).mean()

    theirs = trainers.of_loss(trainer.model, one_by_one)
    reading = "one pair a batch, where nothing is sorted"
    yield Compared("cDPO", setting, "DPOTrainer, aot_unpaired", found, theirs, reading)
    theirs = _of_ratios(at, loss_type="sigmoid", beta=hp.beta, label_smoothing=hp.eps)
    reading = "given summed log-ratios in place of log-probs"
    yield Compared("cDPO", setting, "CPOTrainer.cpo_loss, sigmoid", found, theirs, reading)


def _ipo(at: World, beta: float) -> Iterator[Compared]:
    """The trainer averages over the response; the function takes what it is given."""
    theirs = _dpo(at, EVERYTHING, loss_type=["ipo"], beta=beta)
    found = ours("IPO[mean]", IPO(beta), at)
    yield Compared(
        "IPO[mean]", f"beta {beta}", "DPOTrainer, ipo", found, theirs, "both average over the response"
    )
    theirs = _of_ratios(at, loss_type="ipo", beta=beta)
    reading = "given summed log-ratios in place of log-probs"
    yield Compared(
        "IPO", f"beta {beta}", "CPOTrainer.cpo_loss, ipo", ours("IPO", IPO(beta), at), theirs, reading
    )


def _of_ratios(at: World, **hp: object) -> Result:
    """CPOTrainer's loss of a pair, which knows no reference, of log-ratios to it."""
    trainer = trainers.cpo(at, cpo_alpha=0.0, **hp)
    trainer.loss_type = "sigmoid"  # its forward pass averages over the response for `ipo`
    inputs = trainers.labelled_pairs(trainer, at, EVERYTHING)
    with torch.no_grad():
        ref = _summed(trainer, at.frozen["ref"], inputs)

    def loss() -> Tensor:
        chosen, rejected = _summed(trainer, trainer.model, inputs) - ref
        trainer.loss_type = hp["loss_type"]
        return trainer.cpo_loss(chosen, rejected)[0].mean()

    return trainers.of_loss(trainer.model, loss)


def _summed(trainer: Trainer, model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Summed log-probs of chosen and rejected responses, by CPOTrainer. [2, B]"""
    return torch.stack(trainer.concatenated_forward(model, inputs)[:2])
