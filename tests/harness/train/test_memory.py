"""What a training is foretold to take, against real architectures on fake tensors: their storages are
counted, nothing is computed. Autocast and kernels are the CPU's, which save tensors of the same shapes and
types as CUDA's.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchao.optim.subclass_8bit import OptimState8bit

from harness.common.cost import ModelSize
from harness.models import lora, prefix_sharing
from harness.models.loading import body
from harness.train.accelerate_setup import optimizer_of, recompute_layers, step_of
from harness.train.placing import memory
from harness.train.placing.memory import Run
from methods.api import LoRA, Training
from tests.harness.models import architectures

WHOLE = Training(lr=1e-3)
EIGHT_BIT = Training(lr=1e-3, optimizer="adamw8bit")
VOCAB = 1000  # embeddings and head are reckoned apart
LLAMA_1B = ModelSize("llama", 2048, 2, 8192, 32, 8, 64, VOCAB, True)
LLAMA_8B = ModelSize("llama", 4096, 2, 14336, 32, 8, 128, VOCAB, False)
DANUBE = ModelSize("mistral", 2560, 2, 6912, 32, 8, 80, VOCAB, False)
QWEN = ModelSize("qwen2", 1536, 2, 8960, 12, 2, 128, VOCAB, True)
GEMMA = ModelSize("gemma2", 2304, 2, 9216, 8, 4, 256, VOCAB, True)
B, T = 8, 500  # sequences of a micro-batch, tokens of each: no copy of a weight is as large as an activation
N = B * T


class Storages(TorchDispatchMode):
    """Bytes of the storages that are alive, and the most that were, without those of `known`."""

    def __init__(self, known: Iterator[Tensor]) -> None:
        super().__init__()
        self.live, self.most = 0, 0
        self._bytes = {t.untyped_storage()._cdata: 0 for t in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and (key := t.untyped_storage()._cdata) not in self._bytes:
                storage = t.untyped_storage()
                self._bytes[key] = storage.nbytes()
                self.live += storage.nbytes()
                self.most = max(self.most, self.live)
                weakref.finalize(storage, self._gone, key)
        return out

    def _gone(self, key: int) -> None:
        self.live -= self._bytes.pop(key)


def padded(model: Any) -> Tensor:
    return body(model, torch.zeros(B, T, dtype=torch.long))


def in_rows(model: Any) -> Tensor:
    ids = torch.zeros(1, N, dtype=torch.long)
    places = torch.zeros(B, T, dtype=torch.long)
    return prefix_sharing.states(model, prefix_sharing.Rows(ids, ids, places, ids[0]))


def autocast(half: bool) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=half)


def kept(size: ModelSize, run: Callable[[Any], Tensor], *, half: bool) -> int:
    """Bytes of what autograd keeps of a forward pass, weights and their copies left out."""
    found: dict[int, int] = {}

    def seen(t: Tensor) -> Tensor:
        found[t.untyped_storage()._cdata] = t.untyped_storage().nbytes()
        return t

    with FakeTensorMode(allow_non_fake_inputs=True):
        model = architectures.built(size).requires_grad_()
        weights = {p.untyped_storage()._cdata for p in model.parameters()}
        sizes = {p.numel() * 2 for p in model.parameters() if p.dim() == 2} if half else set()
        with torch.autograd.graph.saved_tensors_hooks(seen, lambda t: t), autocast(half):
            run(model)
        return sum(n for key, n in found.items() if key not in weights and n not in sizes)


def of_a_layer(size: ModelSize, run: Callable[[Any], Tensor], *, half: bool) -> float:
    """Bytes of a position and layer: what a second layer adds."""
    two, one = (kept(replace(size, layers=n), run, half=half) for n in (2, 1))
    return (two - one) / N


@pytest.fixture(autouse=True)
def agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial that computes numbers, which fake tensors have none of."""
    monkeypatch.setattr(prefix_sharing, "_differs", lambda model: None)


SIZES = [LLAMA_1B, LLAMA_8B, DANUBE, QWEN, GEMMA]


@pytest.mark.parametrize("half", [True, False], ids=["bf16", "float32"])
@pytest.mark.parametrize("size", SIZES, ids=["llama 1B", "llama 8B", "danube", "qwen2", "gemma2"])
def test_what_a_layer_keeps_of_a_position_is_foretold(size: ModelSize, half: bool) -> None:
    """Of padded batches; rows of shared prefixes keep less, as heads of keys are not repeated."""
    foretold = memory.saved(size, T, half)
    assert foretold == pytest.approx(of_a_layer(size, padded, half=half), rel=2e-3)

    def rows(model: Any) -> Tensor:
        assert prefix_sharing.prepare(model) is None
        return in_rows(model)

    counted = of_a_layer(size, rows, half=half)
    assert 0.93 * foretold <= counted <= 1.001 * foretold


@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("size", [LLAMA_1B, LLAMA_8B, DANUBE, QWEN], ids=["1B", "8B", "danube", "qwen2"])
def test_the_most_that_is_alive_in_a_step_is_foretold(size: ModelSize, recomputed: bool) -> None:
    """Forward and back under bfloat16; where layers are recomputed no copies of their weights are kept."""
    size = replace(size, layers=6)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = architectures.built(size).requires_grad_()
        if recomputed:
            recompute_layers(model)  # type: ignore[arg-type]
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        known = (t for p in model.parameters() for t in (p, p.grad) if t is not None)
        with Storages(known) as storages:
            with autocast(True):
                states = padded(model)
            states.float().sum().backward()
    # Without a head and logits, which are no part of this pass.
    run = Run(N, T, half=True, recomputed=recomputed)
    foretold = memory.activations(replace(size, vocab=0), run)
    # What is alive beside what is saved is reckoned as of the widest model, which is little of a deep one.
    assert 0.97 * storages.most <= foretold <= 1.15 * storages.most


def test_what_the_presets_models_keep_of_a_whole_micro_batch() -> None:
    """Of 16,384 positions, saved and copies: 37 GB of a 1B Llama, 149 of an 8B one; 16 recomputed."""
    one = replace(LLAMA_1B, layers=16)
    eight = replace(LLAMA_8B, layers=32, vocab=128256)
    run = Run(16384, 1024, half=True)
    assert one.layers * 16384 * memory.saved(one, 1024, True) == pytest.approx(36.0e9, rel=0.01)
    assert memory.activations(eight, run) == pytest.approx(153e9, rel=0.02)
    assert memory.activations(eight, run._replace(recomputed=True)) == pytest.approx(19.5e9, rel=0.05)


def test_states_by_hand() -> None:
    """An 8B teacher: 16 bytes a parameter, 20 in a `foreach` step; sharded an eighth and what is gathered."""
    size = replace(LLAMA_8B, layers=32, vocab=128256)
    weights = size.parameters
    run = Run(1, 1, half=True, recomputed=True, foreach=False)
    assert memory.states(size, run, WHOLE) == 16 * weights
    assert memory.peak(size, run._replace(foreach=True), WHOLE) == 20 * weights
    assert memory.peak(size, run, WHOLE) == 16 * weights + 8 * size.head
    assert memory.states(size, run._replace(devices=2), WHOLE) == 20 * weights
    layer, embeddings = (size.body - 4096) / 32, 2 * size.head
    gathered = 8 * (2 * layer + embeddings)
    assert memory.states(size, run._replace(devices=8, sharded=True), WHOLE) == 2 * weights + gathered


@pytest.mark.parametrize("training", [EIGHT_BIT, replace(EIGHT_BIT, lora=LoRA(r=16, alpha=32))])
def test_moments_in_8_bits_are_counted_as_torchao_makes_them(training: Training) -> None:
    """Norms of 96 numbers keep float32; codes, scales and tables of all others are counted."""
    size = ModelSize("llama", 96, 2, 256, 3, 1, 32, VOCAB, False)
    model = architectures.built(size).requires_grad_(training.lora is None)
    if training.lora:
        lora.add(model, training.lora, 0)  # type: ignore[arg-type]
    optimizer = optimizer_of(training, model.parameters(), fused=False, foreach=True)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight) if weight.requires_grad else None
    step_of(optimizer, training, torch.device("cpu"))

    kept = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    parts = [[m.codes, m.scale, m.qmap] if type(m) is OptimState8bit else [m] for m in kept]
    counted = sum(part.untyped_storage().nbytes() for part in chain(*parts))
    trained = memory.moving(size, training.lora)
    frozen = 4 * size.parameters if training.lora else 0
    assert {type(m) is OptimState8bit for m in kept} == {True, False}
    assert memory.states(size, Run(1, 1), training) == counted + 8 * trained + frozen


def test_an_8b_teacher_in_8_bits_by_hand() -> None:
    """Two moments of 1 + 4 / 256 bytes: 10.03 bytes a parameter in place of 16; of sharded ones a half."""
    size = replace(LLAMA_8B, layers=32, vocab=128256)
    run = Run(1, 1, half=True, recomputed=True, foreach=False)
    assert memory.states(size, run, EIGHT_BIT) == pytest.approx(10.03125 * size.parameters, rel=1e-4)
    two = run._replace(devices=2, sharded=True)
    spared = memory.states(size, two, WHOLE) - memory.states(size, two, EIGHT_BIT)
    assert spared == pytest.approx(5.96875 * size.parameters / 2, rel=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_parameter_at_a_time_adamw_takes_the_steps_of_foreach(decay: float) -> None:
    """Bit for bit, so it is no part of an id."""
    weights = []
    for foreach in (True, False):
        draw = torch.Generator().manual_seed(0)
        moved = [nn.Parameter(torch.randn(n, 7, generator=draw)) for n in (1, 5, 64)]
        optimizer = torch.optim.AdamW(moved, lr=1e-3, weight_decay=decay, foreach=foreach)
        for _ in range(5):
            for weight in moved:
                weight.grad = torch.randn(weight.shape, generator=draw)
            optimizer.step()
        weights.append(moved)
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_adapters_are_counted_as_they_are_built() -> None:
    for size in (
        ModelSize("llama", 16, 2, 32, 4, 2, 8, VOCAB, True),
        replace(QWEN, hidden=96, ffn=160, head_dim=8),
    ):
        for targets in ("all-linear", ("q_proj", "down_proj")):
            how = LoRA(r=16, alpha=32, targets=targets)  # type: ignore[arg-type]
            model = architectures.built(size).requires_grad_()
            lora.add(model, how, 0)  # type: ignore[arg-type]
            trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
            assert memory.moving(size, how) == trained
            adapted = replace(WHOLE, lora=how)
            assert memory.states(size, Run(1, 1), adapted) == 16 * trained + 4 * size.parameters
