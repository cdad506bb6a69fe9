"""Versions, the head and its statistics against the CPU, and what attention asks of a shape seen first."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.adpa import ADPA, expected_advantage
from methods.dckd import DCKD
from methods.formulas import teacher_kl
from methods.kernels.output_head import Head, MemoryBudget, at_ids, product
from methods.kernels.token_statistics import Hidden, token_statistics
from tests.gpu.check import Check, Line
from tests.gpu.measure import device, emptied, memory, seconds
from tests.perf.clock import gpu
from tests.perf.measure import versions as packages
from tests.perf.scales import GPU

APART = 1e-4  # of two devices' float32, relative to the largest
TILE = 1 << 14  # bytes, so that small tensors take several tiles
SHAPES = ((16, 1000), (40, 549), (36, 611), (33, 702), (52, 433), (20, 905))  # sequences, positions
SMALL_SHAPES = ((4, 60), (6, 70))


def versions(check: Check) -> Iterator[Line]:
    """What is measured, and on what."""
    yield {
        "python": platform.python_version(),
        "packages": packages(),
        "gpu": gpu(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cudnn_attention": torch.backends.cuda.cudnn_sdp_enabled(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        **memory(),
    }


def head(check: Check) -> Iterator[Line]:
    """Products of the head against float64, and gradients of log-probs at a few ids against the CPU's."""
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(33, 64, generator=draw), torch.randn(64, 50, generator=draw)
    for dtype in (torch.float32, torch.bfloat16):
        x, y = a.to(device(), dtype), b.to(device(), dtype)
        out = torch.zeros(33, 200, device=device())[:, 7:57]  # a part of wider rows, as the head has it
        product(x, y, out)
        yield {"of": "product", "dtype": str(dtype), **_apart(out, x.double() @ y.double())}
    here, cpu = (_at_ids_gradients(d) for d in (device(), torch.device("cpu")))
    for of, found, expected in zip(("log-probs", "states", "weight"), here, cpu, strict=True):
        yield {"of": f"at_ids: {of}", **_apart(found, expected)}


def statistics(check: Check) -> Iterator[Line]:
    """Statistics over whole rows, DCKD's, ADPA's and both at once, with gradients, against the CPU's."""
    for stats, hp in (((teacher_kl,), DCKD()), ((expected_advantage,), ADPA()), (_BOTH, ADPA())):
        here, cpu = (_statistics(d, stats, hp) for d in (device(), torch.device("cpu")))
        names = ("log-probs", *(s.name for s in stats), "gradient of states", "gradient of weight")
        for of, found, expected in zip(names, here, cpu, strict=True):
            yield {"of": f"{len(stats)} at once: {of}", **_apart(found, expected)}


_BOTH = (teacher_kl, expected_advantage)


def attention(check: Check) -> Iterator[Line]:
    """Milliseconds of a shape's first call, forward and backward, and of its second, with cuDNN's kernels and
    without.
    """
    for cudnn in (True, False):
        with _cudnn(cudnn):
            for shape in SMALL_SHAPES if check.small else SHAPES:
                first, again = (1e3 * s for s in _attention(*shape, torch.bfloat16, trained=True))
                yield {"cudnn": cudnn, "shape": shape, "first_ms": first, "again_ms": again}
    emptied()
    first, again = (1e3 * s for s in _attention(*SMALL_SHAPES[0], torch.float32, trained=False))
    yield {"dtype": "float32", "shape": SMALL_SHAPES[0], "first_ms": first, "again_ms": again, **memory()}


def _apart(found: Tensor, expected: Tensor) -> Line:
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    apart = float((found - expected).abs().max() / expected.abs().max())
    return {"apart": apart, "ok": apart <= APART}


def _at_ids_gradients(on: torch.device) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(40, 64, generator=draw).to(on).requires_grad_()
    weight = torch.randn(500, 64, generator=draw).to(on).requires_grad_()
    ids = (torch.arange(40)[:, None] + torch.arange(5)).to(on)
    logprobs = at_ids(states, Head(weight, None, 490), ids, MemoryBudget(tile=TILE))
    logprobs.sum().backward()
    assert states.grad is not None and weight.grad is not None
    return logprobs, states.grad, weight.grad


def _statistics(on: torch.device, stats: tuple[Any, ...], hp: Any) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    states, *taught = (torch.randn(40, 32, generator=draw).to(on) for _ in range(3))
    weight, *heads = (torch.randn(300, 32, generator=draw).to(on) for _ in range(3))
    tokens = torch.randint(300, (40,), generator=draw).to(on)
    roles = ("teacher", "teacher_ref")
    signals: Any = {
        role: Hidden(s, Head(w, None, 300)) for role, s, w in zip(roles, taught, heads, strict=True)
    }
    states.requires_grad_(), weight.requires_grad_()
    budget = MemoryBudget(keep=1 << 30, rows=TILE, tile=TILE, chunk=TILE)
    logps, found = token_statistics(states, Head(weight, None, 300), tokens, stats, signals, hp, budget)
    torch.stack([logps, *found.values()]).sum().backward()
    assert states.grad is not None and weight.grad is not None
    return (logps, *found.values(), states.grad, weight.grad)


@contextmanager
def _cudnn(on: bool) -> Iterator[None]:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(on)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def _attention(sequences: int, positions: int, dtype: torch.dtype, trained: bool) -> tuple[float, float]:
    """Seconds of the first and of the second call over the student's heads."""
    width = GPU.student["hidden_size"] // GPU.student["num_attention_heads"]
    query, key, value = (
        torch.randn(
            sequences, GPU.student[heads], positions, width, device=device(), dtype=dtype
        ).requires_grad_(trained)
        for heads in ("num_attention_heads", "num_key_value_heads", "num_key_value_heads")
    )

    def call() -> None:
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        if trained:
            out.sum().backward()

    return seconds(call), seconds(call)
