"""Statistics over the vocabulary against naive dense float64, on ugly shapes: values and gradients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import exp, log, log1p

import pytest
import torch
from torch import Tensor

from methods.batch import Chunk, Role, Statistic, statistic
from methods.formulas import kl
from methods.kernels.token_statistics import Head, Hidden, Signal, TopK, log_rest, token_statistics, top_ids
from tests.methods.kernels.memory_budgets import small_budget

WIDTH, PADDING, SUPPORT = 6, 3, 4


@statistic()
def negative_entropy(at: Chunk, hp: None) -> Tensor:
    return (at.policy.exp() * at.policy).sum(-1)


@statistic("teacher", rest=True)
def forward_kl(at: Chunk, hp: None) -> Tensor:
    return kl(at.teacher, at.policy)


@statistic("teacher", "teacher_ref")
def expected_ratio(at: Chunk, hp: None) -> Tensor:
    return (at.policy.exp() * (at.teacher - at.teacher_ref)).sum(-1)


@statistic("teacher")
def teacher_surprise(at: Chunk, hp: None) -> Tensor:
    """The gap at the realised token: reads its column."""
    return (at.policy - at.teacher).gather(-1, at.realised[:, None])[:, 0]


OF_TEACHERS = (forward_kl, expected_ratio, teacher_surprise)  # at a stored support no row is ever whole
STATISTICS = (negative_entropy, *OF_TEACHERS)


@dataclass(frozen=True)
class Case:
    """Hidden states [N, d], a head of V + PADDING rows, tokens, and the two teachers' dense log-probs."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    tokens: Tensor
    dense: dict[Role, Tensor]  # float64 [N, V]
    softcap: float | None
    scale: float

    @property
    def head(self) -> Head:
        return Head(self.weight, self.bias, len(self.weight) - PADDING, self.softcap, self.scale)


def case(n: int, vocab: int, softcap: float | None = None, scale: float = 1.0, bias: bool = False) -> Case:
    draw = torch.Generator().manual_seed(100 * n + vocab)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    teacher, ref = 3 * normal(n, vocab).double(), 3 * normal(n, vocab).double()
    return Case(
        hidden=normal(n, WIDTH).requires_grad_(),
        weight=normal(vocab + PADDING, WIDTH).requires_grad_(),
        bias=normal(vocab + PADDING).requires_grad_() if bias else None,
        tokens=torch.randint(vocab, (n,), generator=draw),
        dense={"teacher": teacher.log_softmax(-1), "teacher_ref": ref.log_softmax(-1)},
        softcap=softcap,
        scale=scale,
    )


def as_hidden(at: Case) -> dict[Role, Signal]:
    """Frozen models whose hidden states are their log-probs and whose head is the identity."""
    identity = Head(torch.eye(at.dense["teacher"].shape[1]), None, at.dense["teacher"].shape[1])
    return {role: Hidden(dense.float(), identity) for role, dense in at.dense.items()}


def as_topk(at: Case, ids: Tensor) -> dict[Role, Signal]:
    """What both frozen models say at `ids` and of all the rest."""
    return {
        role: TopK(ids, dense.gather(-1, ids), dense.scatter(-1, ids, -torch.inf).logsumexp(-1))
        for role, dense in at.dense.items()
    }


def teacher_ids(at: Case, k: int) -> Tensor:
    """The teacher's k ids with the realised token among them, by sorting."""
    rows = []
    for token, row in zip(at.tokens.tolist(), at.dense["teacher"].tolist(), strict=True):
        best = sorted(range(len(row)), key=lambda a, row=row: -row[a])[:k]
        rows.append(best if token in best else [*best[:-1], token])
    return torch.tensor(rows)


def naive(at: Case, ids: Tensor | None, stats: Sequence[Statistic] = STATISTICS) -> dict[str, Tensor]:
    """The same numbers, dense and in float64, row by row and without a chunk."""
    vocab = len(at.weight) - PADDING
    z = at.hidden.double() @ at.weight[:vocab].double().T
    z = at.scale * (z if at.bias is None else z + at.bias[:vocab].double())
    z = z if at.softcap is None else at.softcap * torch.tanh(z / at.softcap)
    policy = z - z.exp().sum(-1, keepdim=True).log()
    out: dict[str, list[Tensor]] = {name: [] for name in ("logps", *(s.name for s in STATISTICS))}
    for n, token in enumerate(at.tokens.tolist()):
        p, q, ref = policy[n], at.dense["teacher"][n], at.dense["teacher_ref"][n]
        out["logps"].append(p[token])
        out["negative_entropy"].append((p.exp() * p).sum())
        out["teacher_surprise"].append(p[token] - q[token])
        kept = range(vocab) if ids is None else ids[n].tolist()
        divergence = sum(q[a].exp() * (q[a] - p[a]) for a in kept)
        if left := sorted(set(range(vocab)) - set(kept)):
            q_rest, p_rest = q[left].exp().sum(), p[left].exp().sum()
            divergence = divergence + q_rest * (q_rest / p_rest).log()
        out["forward_kl"].append(divergence)
        out["expected_ratio"].append(sum(p[a].exp() * (q[a] - ref[a]) for a in kept))
    return {name: torch.stack(out[name]) for name in ("logps", *(s.name for s in stats))}


def ours(
    at: Case,
    signals: dict[Role, Signal],
    chunk: int,
    recompute: bool,
    stats: Sequence[Statistic] = STATISTICS,
) -> dict[str, Tensor]:
    space = small_budget(chunk, at.head.vocab, recompute)
    logps, found = token_statistics(at.hidden, at.head, at.tokens, stats, signals, None, space)
    return {"logps": logps, **{s.name: x for s, x in found.items()}}


def gradients(values: dict[str, Tensor], at: Case) -> list[Tensor]:
    """Of a sum in which every number has a weight of its own, to hidden states, weight and bias."""
    draw = torch.Generator().manual_seed(3)
    stacked = torch.stack(list(values.values())).double()
    total = (stacked * torch.randn(stacked.shape, generator=draw)).sum()
    leaves = [at.hidden, at.weight] + ([] if at.bias is None else [at.bias])
    return list(torch.autograd.grad(total, leaves))


HEADS = {
    "plain": {},
    "soft-cap": {"softcap": 3.0},
    "scale": {"scale": 0.3},
    "bias": {"bias": True},
    "all": {"softcap": 3.0, "scale": 0.3, "bias": True},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", ["hidden", "topk", "topk alone", "a single one"])
@pytest.mark.parametrize("n, vocab", [(1, 5), (13, 5), (1, 131), (13, 131)])
def test_statistics_are_those_of_dense_float64(n: int, vocab: int, form: str, head: str) -> None:
    """float32 over V: logits of about 10 are known to 1e-6, sums of 131 of them to 1e-5."""
    at = case(n, vocab, **HEADS[head])
    ids = None if form in ("hidden", "a single one") else teacher_ids(at, SUPPORT)
    stats = {"topk alone": OF_TEACHERS, "a single one": STATISTICS[1:2]}.get(form, STATISTICS)
    expected = naive(at, ids, stats)
    expected_gradients = gradients(expected, at)
    for chunk, recompute in product((1, 7, 1000), (True, False)):
        found = ours(at, as_hidden(at) if ids is None else as_topk(at, ids), chunk, recompute, stats)
        for name, values in expected.items():
            torch.testing.assert_close(found[name].double(), values, rtol=1e-5, atol=1e-5, msg=name)
        for ours_gradient, theirs in zip(gradients(found, at), expected_gradients, strict=True):
            torch.testing.assert_close(
                ours_gradient, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max())
            )


@pytest.mark.parametrize("form", ["hidden", "topk"])
def test_padded_rows_of_a_head_have_no_gradient_and_no_say(form: str) -> None:
    """With 1e3 in every padded row and bias all values stay, bit for bit."""
    at = case(13, 5, bias=True)
    signals = as_hidden(at) if form == "hidden" else as_topk(at, teacher_ids(at, SUPPORT))
    values = ours(at, signals, 7, True)
    for gradient in gradients(values, at)[1:]:
        assert not gradient[-PADDING:].any() and gradient[:-PADDING].any()
    with torch.no_grad():
        at.weight[-PADDING:], at.bias[-PADDING:] = 1e3, 1e3
    torch.testing.assert_close(ours(at, signals, 7, True), values, rtol=0, atol=0)


@pytest.mark.parametrize("bias", [False, True])
def test_bf16_hidden_states_cost_the_rounding_of_the_logits(bias: bool) -> None:
    """A bf16 logit z is off by at most 2^-8 |z|; a log-prob is a logit less a mean of them: twice that."""
    at = case(13, 131, bias=bias)
    rounded = {name: getattr(at, name) for name in ("hidden", "weight", *(["bias"] if bias else []))}
    rounded = {name: t.detach().bfloat16() for name, t in rounded.items()}
    at = replace(at, **rounded)
    logps, found = token_statistics(
        at.hidden, at.head, at.tokens, [negative_entropy], {}, None, small_budget(7, at.head.vocab, False)
    )
    assert logps.dtype == found[negative_entropy].dtype == torch.float32
    logits = at.hidden.double() @ at.weight[:-PADDING].double().T
    logits = logits + at.bias[:-PADDING].double() if bias else logits
    dense = naive(at, None)
    assert (logps - dense["logps"]).abs().max() <= 2 * 2**-8 * logits.abs().max()


def test_bf16_hidden_states_can_meet_a_float32_head() -> None:
    at = case(13, 5, bias=True)
    mixed = at.head.logits(at.hidden.detach().bfloat16())
    torch.testing.assert_close(mixed, at.head.logits(at.hidden), rtol=0.03, atol=0.03)


# Supports


def test_the_realised_token_is_always_among_the_top_ids() -> None:
    logprobs = torch.tensor([[0.4, 0.3, 0.2, 0.1]] * 4).log()
    ids = top_ids(logprobs, torch.tensor([0, 1, 2, 3]), 2)
    assert ids.tolist() == [[0, 1], [0, 1], [0, 2], [0, 3]]


def test_with_k_one_the_realised_token_is_all_there_is() -> None:
    assert top_ids(torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log(), torch.tensor([1, 0]), 1).tolist() == [
        [1],
        [0],
    ]


def test_top_ids_are_distinct_and_at_k_of_v_they_are_all() -> None:
    at = case(13, 5)
    for k in range(1, 6):
        ids = top_ids(at.dense["teacher"], at.tokens, k)
        assert all(len(set(row)) == k for row in ids.tolist())
        assert (ids == at.tokens[:, None]).any(-1).all()


def test_the_rest_is_exact_where_almost_nothing_is_left() -> None:
    """Logits (0, 0, -d, -d) at ids (0, 1): the rest is exp(-d) / (1 + exp(-d)); 1 - sum would say 0 in
    float32.
    """
    for d in (log(1e12), 50.0, 200.0):
        found = log_rest(torch.tensor([[0.0, 0.0, -d, -d]]), torch.tensor([[0, 1]]))
        assert float(found) == pytest.approx(-d - log1p(exp(-d)), rel=1e-6)


def test_the_rest_is_exact_where_almost_everything_is_left() -> None:
    """Logits (0, 10) at id 0: the rest is 1 / (1 + exp(-10)), its logarithm -4.5e-5."""
    found = log_rest(torch.tensor([[0.0, 10.0]], dtype=torch.float64), torch.tensor([[0]]))
    assert float(found) == pytest.approx(-log1p(exp(-10)), rel=1e-9)


def test_a_kl_over_buckets_grows_with_k_to_the_full_one() -> None:
    at = case(13, 131)
    full = ours(at, as_hidden(at), 7, False)["forward_kl"]
    bounds = [
        ours(at, as_topk(at, prefix), 7, False)["forward_kl"] for prefix in nested_ids(at, (1, 2, 8, 50))
    ]
    for lower, upper in zip(bounds, [*bounds[1:], full], strict=True):
        assert (lower <= upper + 1e-5).all()
    assert (bounds[0] < full - 0.1).all()


def nested_ids(at: Case, sizes: Sequence[int]) -> list[Tensor]:
    """Supports of which each contains the one before: the realised token, then the teacher's best."""
    rows = []
    for token, row in zip(at.tokens.tolist(), at.dense["teacher"].tolist(), strict=True):
        rows.append([token, *sorted(set(range(len(row))) - {token}, key=lambda a, row=row: -row[a])])
    return [torch.tensor(rows)[:, :k] for k in sizes]


@pytest.mark.parametrize("stats", [STATISTICS, OF_TEACHERS], ids=["whole rows", "a support"])
@pytest.mark.parametrize("vocab", [5, 131])
def test_the_top_v_of_v_is_the_full_support(vocab: int, stats: Sequence[Statistic]) -> None:
    """Values and gradients; no rest bucket stands in the chunk."""
    at = case(13, vocab)
    full = ours(at, as_hidden(at), 7, True, stats)
    top = ours(at, as_topk(at, teacher_ids(at, vocab)), 7, True, stats)
    torch.testing.assert_close(top, full, rtol=1e-5, atol=1e-5)
    for ours_gradient, theirs in zip(gradients(top, at), gradients(full, at), strict=True):
        torch.testing.assert_close(ours_gradient, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_a_statistic_without_rest_sees_k_columns_and_one_with_rest_one_more() -> None:
    at, columns = case(3, 5), {}

    def look(chunk: Chunk, hp: None) -> Tensor:
        columns[chunk.teacher.shape[1]] = chunk.policy.exp().sum(-1)
        return chunk.policy[:, 0]

    looks = [Statistic("without", look, ("teacher",), False), Statistic("with", look, ("teacher",), True)]
    token_statistics(
        at.hidden, at.head, at.tokens, looks, as_topk(at, teacher_ids(at, 2)), None, small_budget(7, 5, False)
    )
    assert columns.keys() == {2, 3}
    assert (columns[2] < 1).all()
    torch.testing.assert_close(columns[3], torch.ones(3))


def test_signals_of_two_forms_do_not_meet_in_one_statistic() -> None:
    at = case(3, 5)
    mixed = {**as_topk(at, teacher_ids(at, 2)), "teacher_ref": as_hidden(at)["teacher_ref"]}
    with pytest.raises(TypeError, match="one form"):
        ours(at, mixed, 7, False)
