"""What the passes over a head keep, and what they never hold."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from harness.common import devices
from harness.models import memory
from methods.batch import Statistic
from methods.kernels import output_head
from methods.kernels.output_head import FLOAT, Head, MemoryBudget, at_ids, product
from methods.kernels.token_statistics import Hidden, token_statistics
from tests.methods.kernels.allocations import Made
from tests.methods.kernels.memory_budgets import small_budget
from tests.methods.kernels.test_token_statistics import (
    HEADS,
    OF_TEACHERS,
    STATISTICS,
    Case,
    as_hidden,
    as_topk,
    case,
    naive,
    teacher_ids,
)

PASSES: dict[str, tuple[str, Sequence[Statistic]]] = {
    "realised": ("topk", ()),
    "a support": ("topk", OF_TEACHERS),
    "whole rows": ("topk", STATISTICS),
    "teachers' rows": ("hidden", STATISTICS),
    "a single slope": ("hidden", OF_TEACHERS[:1]),
}
every_pass = pytest.mark.parametrize("name", PASSES)


def run(at: Case, name: str, space: MemoryBudget, head: Head | None = None) -> Tensor:
    """Log-probs and statistics. [1 + S, N]"""
    form, stats = PASSES[name]
    signals = as_hidden(at) if form == "hidden" else as_topk(at, teacher_ids(at, 4))
    logps, found = token_statistics(at.hidden, head or at.head, at.tokens, stats, signals, None, space)
    return torch.stack([logps, *found.values()])


def gradients(values: Tensor, at: Case, **how: Any) -> list[Tensor]:
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
    leaves = [at.hidden, at.weight] + ([] if at.bias is None else [at.bias])
    return list(torch.autograd.grad((values * weights).sum(), leaves, **how))


class Calls(TorchDispatchMode):
    """The names of the operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.made.append(str(func))
        return func(*args, **(kwargs or {}))


@every_pass
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_what_is_kept_changes_no_bit(name: str, head: str, chunk: int) -> None:
    at = case(13, 131, **HEADS[head])
    kept, computed = (run(at, name, small_budget(chunk, 131, recompute)) for recompute in (False, True))
    assert torch.equal(kept, computed)
    for ours, theirs in zip(gradients(kept, at), gradients(computed, at), strict=True):
        assert torch.equal(ours, theirs)


@every_pass
def test_a_second_backward_pass_finds_the_same(name: str) -> None:
    at = case(13, 131, **HEADS["all"])
    values = run(at, name, small_budget(5, 131, recompute=False))
    first, second = gradients(values, at, retain_graph=True), gradients(values, at)
    assert all(map(torch.equal, first, second))


@every_pass
@pytest.mark.parametrize("head", HEADS)
def test_passes_over_a_shared_head_have_the_gradients_of_passes_apart(name: str, head: str) -> None:
    """Also of a second backward pass, and beside a use of the head that is no pass."""
    at = case(13, 131, **HEADS[head])
    form, stats = PASSES[name]
    signals = as_hidden(at) if form == "hidden" else as_topk(at, teacher_ids(at, 4))

    def of(head: Head) -> Tensor:
        space, values = small_budget(5, 131, recompute=False), [head.logprobs(at.hidden)[:, 0]]
        for states in (at.hidden, 2 * at.hidden):
            logps, found = token_statistics(states, head, at.tokens, stats, signals, None, space)
            values += [logps, *found.values()]
        return torch.stack(values)

    apart, shared = of(at.head), of(at.head.shared(None))
    assert torch.equal(apart, shared)
    expected = gradients(apart, at)
    torch.testing.assert_close(gradients(shared, at, retain_graph=True), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(shared, at), expected, rtol=1e-5, atol=1e-5)


@every_pass
def test_a_frozen_head_and_frozen_states_have_no_gradient(name: str) -> None:
    """As with LoRA; the other's gradient is what it was."""
    at = case(13, 131, bias=True)
    space = small_budget(5, 131, recompute=True)
    hidden, weight, _ = gradients(run(at, name, space), at)
    for frozen in (("weight", "bias"), ("hidden",)):
        part = replace(at, **{key: getattr(at, key).detach() for key in frozen})
        values = run(part, name, space)
        weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
        leaf, expected = (at.weight, weight) if frozen == ("hidden",) else (at.hidden, hidden)
        assert torch.equal(torch.autograd.grad((values * weights).sum(), leaf)[0], expected)


@every_pass
def test_autocast_rounds_nothing_over_the_vocabulary(name: str) -> None:
    at = case(13, 131)
    space = small_budget(5, 131, recompute=True)
    plain = run(at, name, space)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(at, name, space), plain)


@every_pass
@pytest.mark.parametrize("head", HEADS)
def test_a_head_in_half_rounds_what_is_multiplied_and_nothing_else(name: str, head: str) -> None:
    """Values are those of rounded states and weights; logits' gradients, too, are rounded, by 2^-9 each."""
    at = case(13, 131, **HEADS[head])
    states = (at.hidden.detach() * at.scale).bfloat16().float() / at.scale
    rounded = replace(
        at, hidden=states.requires_grad_(), weight=at.weight.detach().bfloat16().float().requires_grad_()
    )
    space = small_budget(5, 131, recompute=True)
    half, plain = run(at, name, space, at.head.shared(torch.bfloat16)), run(rounded, name, space)
    torch.testing.assert_close(half, plain, rtol=1e-5, atol=1e-5)
    assert (plain - run(at, name, space)).abs().max() > 1e-3
    for ours, theirs in zip(gradients(half, at), gradients(plain, rounded), strict=True):
        assert ours.dtype == torch.float32 and (ours - theirs).norm() < 2**-8 * theirs.norm()


@pytest.mark.parametrize("form", ["rows", "logits"])
def test_frozen_states_and_heads_in_half_lose_nothing(form: str) -> None:
    at = case(13, 131, bias=True)
    half = Head(at.weight.detach().bfloat16(), at.bias.detach().bfloat16(), 131)
    wide = Head(half.weight.float(), half.bias.float(), 131)
    states = at.hidden.detach().bfloat16()

    def said(states: Tensor, head: Head) -> Tensor:
        if form == "logits":
            return head.logits(states)
        signals = {"teacher": Hidden(states, head)}
        return token_statistics(
            at.hidden,
            at.head,
            at.tokens,
            OF_TEACHERS[:1],
            signals,
            None,
            small_budget(5, 131, recompute=True),
        )[1][OF_TEACHERS[0]]

    assert torch.equal(said(states, half), said(states.float(), wide))


def test_a_gpu_multiplies_half_factors_as_they_are_and_adds_up_in_float32() -> None:
    """By torch's own account of shapes, dtypes and devices: no kernel runs."""
    with FakeTensorMode(), Calls() as calls:
        a, b = (torch.empty(n, 8, device="cuda", dtype=torch.bfloat16) for n in (4, 5))
        apart, into = product(a, b.T), product(a, b.T, torch.empty(4, 5, device="cuda"))
        wide = product(a, b.float().T)
    assert {x.dtype for x in (apart, into, wide)} == {torch.float32}
    assert [f for f in calls.made if f.startswith("aten.mm")] == [
        "aten.mm.dtype",
        "aten.mm.dtype_out",
        "aten.mm.default",
    ]


def test_a_support_that_misses_the_realised_token_still_has_its_log_prob() -> None:
    at = case(13, 131)
    ids = torch.stack([(at.tokens + i) % 131 for i in (1, 2, 3)], -1)
    signals = as_topk(at, ids)
    logps, _ = token_statistics(
        at.hidden, at.head, at.tokens, OF_TEACHERS[:1], signals, None, small_budget(5, 131, True)
    )
    torch.testing.assert_close(logps.double(), naive(at, None)["logps"], rtol=1e-5, atol=1e-5)


def test_a_rest_of_e_to_the_minus_200_is_exact() -> None:
    """Logits (0, 0, -200, -200) at ids (0, 1), as one tile, and as tiles of one column."""
    at = case(1, 4)
    weight = torch.zeros(7, 6)
    weight[2:4, 0] = -200.0
    head = replace(at, weight=weight).head
    for tile in (1 << 20, 4):
        said = at_ids(torch.eye(6)[:1], head, torch.tensor([[0, 1]]), MemoryBudget(tile=tile))
        torch.testing.assert_close(
            said, torch.tensor([[0.5, 0.5, torch.e]]).log() - torch.tensor([0, 0, 201.0])
        )


@every_pass
def test_logits_that_are_not_kept_are_never_whole(name: str) -> None:
    """Nothing is larger than the head's gradient or the room for rows, whatever N and V are."""
    at = case(97, 1000)
    signals = as_topk(at, teacher_ids(at, 4))
    stats = PASSES[name][1]
    space = MemoryBudget(keep=0, rows=4 * 3 * 1000, tile=4 * 1000)
    with Made() as made:
        logps, found = token_statistics(at.hidden, at.head, at.tokens, stats, signals, None, space)
        torch.stack([logps, *found.values()]).sum().backward()
    assert 0 < max(made.sizes) <= len(at.weight) * at.weight.shape[1]


def test_an_unknown_way_with_logits_is_one_line() -> None:
    with pytest.raises(ValueError, match="head kep: did you mean 'keep'"):
        memory.memory_budget("kep", torch.device("cpu"))


def test_logits_are_kept_where_a_share_of_the_free_memory_holds_them() -> None:
    free = memory.free_bytes(torch.device("cpu"))
    assert 0 < memory.memory_budget("auto", torch.device("cpu")).keep < free
    assert memory.memory_budget("recompute", torch.device("cpu")).keep == 0


def test_a_container_has_what_its_limit_leaves(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes(torch.device("cpu")) > 1000
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory.free_bytes(torch.device("cpu")) == 900


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_a_tile_begins_every_row_on_a_cache_line_and_no_bit_depends_on_it(
    keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """41 rows in tiles of 99 columns, which no line divides; of 290 words the last tile has less."""
    draw = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(41, 24, generator=draw), torch.randn(300, 24, generator=draw)
    ids, space = torch.arange(41)[:, None] + torch.arange(3), MemoryBudget(keep, tile=41 * 99 * FLOAT)
    written: list[Tensor] = []

    def writing(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
        if out is not None and a.shape[1] == 24:
            written.append(out)
        return product(a, b, out)

    def found() -> list[Tensor]:
        leaves = [x.clone().requires_grad_() for x in (hidden, weight)]
        values = at_ids(leaves[0], Head(leaves[1], None, 290), ids, space)
        return [values, *torch.autograd.grad(values.exp().sum(), leaves)]

    monkeypatch.setattr(output_head, "product", writing)
    on_lines = found()
    assert len(written) == (3 if keep else 6)
    assert all(z.stride(0) * FLOAT % 64 == z.data_ptr() % 64 == 0 and z.stride(1) == 1 for z in written)
    monkeypatch.setattr(output_head, "LINE", 1)
    assert all(map(torch.equal, on_lines, found()))
