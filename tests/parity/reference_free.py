"""Losses of pairs without a reference: ORPO and SimPO."""

from collections.abc import Iterator

from torch import Tensor

from methods.orpo import ORPO
from methods.simpo import SimPO, SimPORelease
from tests.methods.synthetic import EVERYTHING
from tests.parity import trainers
from tests.parity.table import Compared, Result
from tests.parity.world import World, ours, world


def same(at: World) -> Iterator[Compared]:
    """Ours and TRL's where both are one formula."""
    for hp in (SimPO(beta=2.0, margin=1.0), SimPO(beta=0.5, margin=0.8)):
        trainer = trainers.cpo(at, loss_type="simpo", cpo_alpha=0.0, beta=hp.beta, simpo_gamma=hp.margin)
        theirs = trainers.of_step(trainer, trainers.labelled_pairs(trainer, at, EVERYTHING))
        setting = f"beta {hp.beta}, margin {hp.margin}"
        yield Compared("SimPO", setting, "CPOTrainer, simpo, cpo_alpha 0", ours("SimPO", hp, at), theirs)
        release = SimPORelease(hp.beta, hp.margin / hp.beta)
        yield Compared(
            "SimPO[release]",
            f"beta {hp.beta}, ratio {release.ratio}",
            "CPOTrainer, simpo, cpo_alpha 0",
            ours("SimPO[release]", release, at),
            theirs,
            "margin = beta * ratio",
        )
    short = world(at.folder, prompt_tokens=1)
    for weight in (0.1, 1.0):
        reading = "prompts of one token, where TRL's SFT term has no prompt"
        yield Compared(
            "ORPO",
            f"weight {weight}",
            "ORPOTrainer",
            ours("ORPO", ORPO(weight), short),
            _orpo(short, weight),
            reading,
        )
    yield _odds(at, 1.0)


def differing(at: World) -> Iterator[Compared]:
    """Where TRL computes something else under the name."""
    reading = "TRL's SFT term runs over the prompt too"
    yield Compared("ORPO", "weight 0.1", "ORPOTrainer", ours("ORPO", ORPO(0.1), at), _orpo(at, 0.1), reading)


def _orpo(at: World, weight: float) -> Result:
    trainer = trainers.orpo(at, beta=weight)
    return trainers.of_step(trainer, trainers.labelled_pairs(trainer, at, EVERYTHING))


def _odds(at: World, weight: float) -> Compared:
    """The term of the odds ratio, on prompts of any length: what the weight adds."""
    trainer = trainers.orpo(at)
    inputs = trainers.labelled_pairs(trainer, at, EVERYTHING)

    def added() -> Tensor:
        trainer.beta = weight
        with_odds = trainer.compute_loss(trainer.model, inputs)
        trainer.beta = 0.0
        return with_odds - trainer.compute_loss(trainer.model, inputs)

    with_odds, without = ours("ORPO", ORPO(weight), at), ours("ORPO", ORPO(0.0), at)
    found = Result(
        with_odds.loss - without.loss,
        {name: g - without.gradient[name] for name, g in with_odds.gradient.items()},
    )
    theirs = trainers.of_loss(trainer.model, added)
    return Compared(
        "ORPO", f"weight {weight}", "ORPOTrainer", found, theirs, "the odds term alone: less weight 0"
    )
