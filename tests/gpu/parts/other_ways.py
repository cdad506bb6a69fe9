"""Ways that are not taken, since nobody knows whether they pay: other kernels over rows that share prompts,
and a token step of decoding that is compiled.
"""

import inspect
import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.api import Sampling
from harness.models.decoding.cache import BLOCK
from harness.models.decoding.rows import Ends, Request, row_of
from harness.models.decoding.slots import Slots
from harness.models.loading import load
from harness.models.prefix_sharing import Rows, gather, lay_out
from tests.gpu import world
from tests.gpu.check import Check, Line
from tests.gpu.measure import device, emptied, memory, seconds

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # [N, H, d] of a row each -> [N, H, d]
FAULTS = (AttributeError, ImportError, NotImplementedError, RuntimeError, TypeError, ValueError)
REPEATS = 5
APART = 0.02  # of two kernels' bfloat16, relative to the largest
DECODED, SMALL_DECODED = 128, 4  # rows


def rows(check: Check) -> Iterator[Line]:
    """Attention of a micro-batch of pairs, forward and backward: padded around SDPA as it runs here, by
    FlexAttention over the row itself, by varlen flash over the sequences end to end.
    """
    shared, heads = _pairs(check), world.scale(check).student
    count, few = heads["num_attention_heads"], heads["num_key_value_heads"]
    draw = torch.Generator(device()).manual_seed(0)
    dtype = torch.float32 if check.small else torch.bfloat16
    shapes = ((shared.ids.shape[1], n, heads["hidden_size"] // count) for n in (count, few, few))
    qkv = [torch.randn(s, generator=draw, device=device(), dtype=dtype) for s in shapes]
    for x in qkv:
        x.requires_grad_(not check.small)  # FlexAttention has no gradient on a CPU
    plain: Tensor | None = None
    for way, make in {"padded, SDPA": _padded, "FlexAttention": _flex, "varlen flash": _varlen}.items():
        emptied()
        told: Line = {"way": way, "row": shared.ids.shape[1], "sequences": len(shared.places)}
        try:
            attend = make(shared, check.small)
            first, *again = (seconds(lambda run=attend: _trained(run, qkv)) for _ in range(REPEATS))
            out = attend(*qkv).detach()
        except FAULTS as error:
            yield told | {"failed": f"{type(error).__name__}: {error}"[:300]}
            continue
        plain = out if plain is None else plain
        apart = float((out - plain).abs().max() / plain.abs().max())
        told |= {"first_ms": 1e3 * first, "again_ms": 1e3 * min(again), "apart": apart}
        yield told | {"ok": apart <= APART, **memory()}


def _trained(attend: Attention, qkv: list[Tensor]) -> None:
    out = attend(*qkv)
    if out.requires_grad:
        out.sum().backward()


def decoding(check: Check) -> Iterator[Line]:
    """A token step of many rows whose shapes stay, as it is and compiled into one launch."""
    at, count = world.ready(check), SMALL_DECODED if check.small else DECODED
    # Of unlike lengths that end in one block of columns.
    lengths = [7 * BLOCK - BLOCK // 2 - i % 9 for i in range(count)]
    for way in ("as it is", "compiled"):
        emptied()
        model = load(at / "student", torch.bfloat16).to(device())
        if way == "compiled":
            how = {"backend": "eager"} if check.small else {"mode": "reduce-overhead"}
            model.base_model.forward = torch.compile(model.base_model.forward, dynamic=False, **how)
        slots = Slots(model, Ends(frozenset(), world.vocab(check), None))
        asked = [Request([5 + i] * n, Sampling(0.0, 1.0, BLOCK), str(i)) for i, n in enumerate(lengths)]
        slots.admit([row_of(i, request, 0, device()) for i, request in enumerate(asked)])
        for layer in slots.cache.layers:  # which a graph must know to stay where they are
            torch._dynamo.mark_static_address(layer.keys)
            torch._dynamo.mark_static_address(layer.values)
        first, *again = (seconds(slots.step) for _ in range(4 * REPEATS))
        yield {"way": way, "rows": count, "first_ms": 1e3 * first, "step_ms": 1e3 * min(again), **memory()}


def _pairs(check: Check) -> Rows:
    scale, draw = world.scale(check), random.Random(0)
    sequences: list[list[int]] = []
    for _ in range(scale.batch):
        prompt = [draw.randrange(99) for _ in range(draw.randint(*scale.prompt))]
        for _ in range(2):
            answer = max(2, draw.randint(*scale.total) - len(prompt))
            sequences.append(prompt + [draw.randrange(99) for _ in range(answer)])
    return lay_out(sequences, [i // 2 for i in range(len(sequences))], device())


def _lengths(shared: Rows) -> list[int]:
    """Tokens of each sequence, [S]; behind them its places are all 0."""
    inside = shared.places > 0
    inside[:, 0] = True
    return [int(n) for n in inside.sum(1)]


def _padded(shared: Rows, small: bool) -> Attention:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch = (_at(x, shared.places).transpose(1, 2) for x in (query, key, value))
        out = F.scaled_dot_product_attention(*batch, is_causal=True, enable_gqa=True)
        return _at(out.transpose(1, 2).flatten(0, 1), shared.first)

    return attend


def _flex(shared: Rows, small: bool) -> Attention:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    n, lengths = shared.ids.shape[1], _lengths(shared)
    paths = [row[:length].tolist() for row, length in zip(shared.places, lengths, strict=True)]
    # In the order in which a row is laid out, the sequences that share a token stand next to each other: from
    # the first that has it, whose own it is, to the last.
    own, last = [-1] * n, [0] * n
    for turn, path in enumerate(sorted(paths, key=max)):
        for place in path:
            own[place], last[place] = turn if own[place] < 0 else own[place], turn
    owner, until = (torch.tensor(x, device=device()) for x in (own, last))

    def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) & (owner[k] <= owner[q]) & (owner[q] <= until[k])

    mask = create_block_mask(sees, None, None, n, n, device=str(device()))
    run = flex_attention if small else torch.compile(flex_attention)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch = (x.transpose(0, 1)[None] for x in (query, key, value))
        return run(*batch, block_mask=mask, enable_gqa=True)[0].transpose(0, 1)

    return attend


def _varlen(shared: Rows, small: bool) -> Attention:
    from torch.nn.attention.varlen import varlen_attn

    lengths, longest = _lengths(shared), shared.places.shape[1]
    ends = torch.tensor([0, *lengths]).cumsum(0).to(device(), torch.int32)
    places = torch.cat([shared.places[s, :n] for s, n in enumerate(lengths)])
    packed = torch.zeros(len(lengths) * longest, dtype=torch.long)  # from the padded batch to end to end
    for s, (begin, end) in enumerate(pairwise(ends.tolist())):
        packed[s * longest : s * longest + end - begin] = torch.arange(begin, end)
    first, known = packed.to(device())[shared.first], inspect.signature(varlen_attn).parameters
    causal = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    grouped = {"enable_gqa": True} if "enable_gqa" in known else {}

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (_at(x, places) for x in (query, key, value))
        out = varlen_attn(q, k, v, ends, ends, max(lengths), max(lengths), **causal, **grouped)
        return _at(out, first)

    return attend


def _at(x: Tensor, places: Tensor) -> Tensor:
    return gather(x.flatten(1), places).unflatten(-1, x.shape[1:])
