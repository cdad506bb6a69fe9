"""Noise of sampled answers: drawn where the model is, by a generator for each row."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.api import Sampling
from harness.models.decoding.rows import Request, Row, perturbed, row_of

WORDS = 4_003


class Made(TorchDispatchMode):
    """Where tensors of a vocabulary's size are made. Draws on the device without data leave it as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.devices: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawn = func is torch.ops.aten.exponential_.default and args[0].is_meta
        out = args[0] if drawn else func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() >= WORDS:
            self.devices.add(out.device.type)
        return out


def rows(device: str, count: int = 3) -> list[Row]:
    how = Sampling(0.9, 0.8, 4)
    return [row_of(i, Request([1], how, str(i)), 0, torch.device(device)) for i in range(count)]


def test_noise_is_drawn_on_the_device_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without data stands in for a GPU, which has generators of its own."""
    asked, generator = list[str](), torch.Generator
    with monkeypatch.context() as patched:
        patched.setattr(torch, "Generator", lambda device: (asked.append(device.type), generator())[1])
        sampled = rows("meta")
    with Made() as made:
        perturbed(torch.zeros(3, WORDS, device="meta"), sampled)
    assert asked == ["meta"] * 3
    assert made.devices == {"meta"}


def test_on_a_cpu_the_draws_of_a_row_are_those_of_its_own_generator_whoever_is_beside_it() -> None:
    scores = torch.randn(3, WORDS, generator=torch.Generator().manual_seed(1))
    together, warm = rows("cpu"), scores / 0.9
    for _ in range(2):
        found = perturbed(scores.clone(), together)
    for i, row in enumerate(rows("cpu")):
        assert row.draws
        _, second = (-torch.empty(WORDS).exponential_(generator=row.draws).log() for _ in range(2))
        kept = found[i].isfinite()
        assert kept.any() and torch.equal(found[i][kept], (warm[i] + second)[kept])
