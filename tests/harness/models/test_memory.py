"""What logits may take of the memory: a share of what is left beside all that a training needs."""

from pathlib import Path

import pytest
import torch

from harness.models import memory
from harness.models.policy import Policy
from tests.harness.train.micro_batches.test_room import dpo

CPU = torch.device("cpu")


def test_room_leaves_what_gradients_and_moments_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trained weights of 4 bytes: 40 of gradients, 80 of AdamW's moments, each until it is there."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1120)
    trained, frozen = torch.nn.Parameter(torch.ones(10)), torch.nn.Parameter(torch.ones(99), False)
    weights, adamw = [trained, frozen], torch.optim.AdamW([trained])
    assert memory.room(CPU, None, weights) == 1120 // 4  # nothing is trained
    assert memory.room(CPU, adamw, weights) == 1000 // 4
    trained.grad = torch.ones(10)
    assert memory.room(CPU, adamw, weights) == 1040 // 4
    adamw.step()
    assert memory.room(CPU, adamw, weights) == 1120 // 4
    trained.grad = None
    assert memory.room(CPU, adamw, weights) == 1080 // 4
    monkeypatch.setattr(memory, "free_bytes", lambda device: 30)
    assert memory.room(CPU, adamw, weights) == 0


def test_what_torch_holds_of_a_gpu_without_using_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 GB 30 are free; torch holds 45, of which tensors take 40."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 45 << 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 40 << 30)
    assert memory.free_bytes(torch.device("cuda")) == 35 << 30


def test_a_pass_asks_when_its_body_has_run_and_keeps_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the body keeps for its backward pass is no longer free then. No bit depends on what is said."""
    loop, done = dpo(tmp_path), []
    policy = loop.policy
    assert isinstance(policy, Policy)
    policy.model.base_model.register_forward_hook(lambda *_: done.append("body"))

    def gradient(free: int) -> list[torch.Tensor]:
        monkeypatch.setattr(memory, "free_bytes", lambda device: done.append("asked") or free)
        policy.zero_grad()
        loop.gradient(range(12))
        return [p.grad.clone() for p in policy.parameters()]

    plenty, none = gradient(1 << 40), gradient(0)
    assert done == ["body", "asked"] * 2
    assert all(map(torch.equal, plenty, none))
