"""What a finished training leaves in memory: nothing, so that the next one has all of it."""

import gc
import platform
import subprocess
import sys
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is told to glibc's malloc")
def test_memory_that_a_step_gives_back_is_its_own_until_its_end() -> None:
    """Pages of a tensor that is gone are the next tensor's, and the machine's once the step is over."""
    script = """
import resource, psutil, torch
from harness.common.devices import freed
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
used = lambda: psutil.Process().memory_info().rss >> 20
torch.ones(1 << 20)
before = used()
with freed():
    first = faults()
    torch.ones(25 << 20)
    second = faults()
    for _ in range(4):
        torch.ones(4 << 20)
    third = faults()
    inside = used()
print(second - first, third - second, inside - before, used() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second, inside, left = map(int, done.stdout.split())

    assert first > 25_000 and second < 100  # pages of 100 MiB, and of 64 after them
    assert inside > 90 and left < 20
