"""What a finished training leaves in memory: nothing, so that the next one has all of it."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.common.devices import freed
from harness.train import step as train
from tests.harness.train.test_checkpoints import work_of

TRAINING = {"epochs": 1}


@pytest.fixture(autouse=True)
def _collector_off() -> Iterator[None]:
    """It would come by chance."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> list[str]:
    """The modules with weights, the optimizers and the weights that are in memory."""
    kinds = torch.nn.Embedding | torch.optim.Optimizer | torch.nn.Parameter
    return sorted(type(x).__name__ for x in gc.get_objects() if issubclass(type(x), kinds))


def test_a_training_with_checkpoints_is_in_no_reference_cycle(tmp_path: Path) -> None:
    before = alive()
    train.run(work_of(tmp_path, "DPO", "one", TRAINING))

    assert alive() == before


@pytest.mark.parametrize("method", ["DPO", "DPPO[token]"])
def test_trainings_one_after_the_other_leave_nothing(tmp_path: Path, method: str) -> None:
    """Autocast and recomputed layers put methods of a model into the model, which makes cycles."""
    before = alive()
    for name in ("one", "two"):
        with freed():
            train.run(work_of(tmp_path, method, name, TRAINING, checkpointing=True))
        assert alive() == before
