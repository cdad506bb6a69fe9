"""AlpacaEval 2: published replies of the weighted judge, read as alpaca_eval reads them."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from math import isnan, log
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.alpaca_eval import length_controlled
from benchmarks.alpaca_eval.benchmark import WEIGHTED
from benchmarks.alpaca_eval.length_controlled import Item, LengthControlled
from benchmarks.api import JudgeRequest, Question, Reply, Score, Unparsed
from tests.benchmarks.alpaca_eval.published import annotations, answer, ask, first_token, published


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    """The package; importing it sets the root logger to INFO."""
    level = logging.getLogger().level
    module = pytest.importorskip("alpaca_eval")
    from alpaca_eval import completion_parsers  # noqa: F401

    logging.getLogger().setLevel(level)
    yield module


@pytest.mark.parametrize(
    "model", ["gemma-2b-it", "phi-2", "vicuna-7b-v1.5", "vicuna-7b-v1.5.with_glm_preference"]
)
def test_every_published_reply_reads_as_upstream_reads_it_in_our_order(
    shared_data: Path, upstream: Any, model: str
) -> None:
    """The order is not in the annotations: that our draws give the published verdicts proves it too."""
    _, benchmark = alpaca_eval.load(shared_data / "alpaca_eval", evaluator=WEIGHTED)
    read = 0
    for row in annotations(shared_data, f"weighted/{model}"):
        (request,) = ask(benchmark, Question("0", (row["instruction"],)), "x", "y")
        if row["raw_completion"] is None:
            assert row["output_1"] == row["output_2"]
            continue
        ours = benchmark.parse(request, Reply("?", first_token(row["raw_completion"])))
        (shown,) = upstream.completion_parsers.logprob_parser(
            row["raw_completion"], numerator_token="m", denominator_tokens=["m", "M"], is_binarize=False
        )
        assert isinstance(ours, float)
        assert ours == pytest.approx(2 - shown if request.order == "ab" else shown - 1, abs=1e-12)
        assert ours == pytest.approx(row["preference"] - 1, abs=1e-9)  # stored with ten digits
        read += 1
    assert read >= 800


@pytest.mark.parametrize(
    ("logprobs", "first"),
    [
        ({"m": log(0.6), "M": log(0.2), "The": log(0.1)}, 0.75),
        ({"m": -3.0, "M": -3.0}, 0.5),
        ({"M": -0.1, "The": -3.0, " m": -4.0, "m.": -5.0}, 0.0),
        ({"m": -20.0, "The": -0.1}, 1.0),
        ({"m": -9999.0, "M": 0.0}, 0.0),
        ({"The": -0.1, "\n": -4.0}, None),
    ],
)
def test_a_name_that_is_not_among_the_alternatives_has_no_probability(
    upstream: Any, logprobs: dict[str, float], first: float | None
) -> None:
    top = [{"token": token, "logprob": value} for token, value in logprobs.items()]
    (theirs,) = upstream.completion_parsers.logprob_parser(
        {"logprobs": {"content": [{"top_logprobs": top}]}},
        numerator_token="m",
        denominator_tokens=["m", "M"],
        is_binarize=False,
    )
    for order in ("ab", "ba"):
        ours = alpaca_eval.parse_logprobs(JudgeRequest("0", (), order=order), Reply("m", logprobs))
        if first is None:
            assert isnan(theirs) and ours == Unparsed("m")
        else:
            assert theirs == pytest.approx(2 - first, abs=1e-12)
            assert ours == pytest.approx(first if order == "ab" else 1 - first, abs=1e-12)


@pytest.mark.parametrize("mark", [" ", "Ġ", "▁"])
def test_names_are_read_as_the_judges_tokenizer_writes_them(mark: str) -> None:
    """A rest of the other spelling is no name, as it is none for upstream."""
    logprobs = {f"{mark}m": log(0.6), f"{mark}M": log(0.2), "m": log(0.1), "The": log(0.05)}
    request = JudgeRequest("0", (), order="ab")
    assert alpaca_eval.parse_logprobs(request, Reply("m", logprobs)) == pytest.approx(0.75, abs=1e-12)


def test_a_weighted_verdict_needs_log_probs() -> None:
    for logprobs in ({}, {"m": float("-inf"), "M": float("-inf")}):
        found = alpaca_eval.parse_logprobs(JudgeRequest("0", (), order="ab"), Reply("m", logprobs))
        assert found == Unparsed("m")


def test_alpaca_eval_2_from_published_outputs_and_replies_to_the_published_row(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder as it is fetched, and gemma's outputs: each question, its replies, and all metrics."""
    folder, model = shared_data / "alpaca_eval", "gemma-2b-it"
    questions, benchmark = alpaca_eval.load(folder, evaluator=WEIGHTED)
    reference = alpaca_eval.baseline(folder, alpaca_eval.BASELINE[WEIGHTED])
    found = []
    for q, row in zip(questions, annotations(shared_data, f"weighted/{model}"), strict=True):
        assert (q.turns[0], reference[q.id].turns[0]) == (row["instruction"], row["output_1"])
        (item,) = benchmark.requests(q, answer(row["output_2"]), reference[q.id])
        assert isinstance(item, JudgeRequest)
        value = benchmark.parse(item, Reply("", first_token(row["raw_completion"])))
        found.append(Score(q.id, value, q.category, 1, item.order, item.covariates))
    metrics, row = benchmark.aggregate(found), published(shared_data, WEIGHTED)[model]
    assert {q.category for q in questions} >= {"helpful_base", "koala", "selfinstruct"}
    assert 100 * metrics["win_rate"] == pytest.approx(float(row["win_rate"]), abs=1e-9)
    assert 100 * metrics["lc_win_rate"] == pytest.approx(float(row["length_controlled_winrate"]), abs=0.02)
    assert int(metrics["mean_length"]) == int(row["avg_length"])
    assert metrics["lc_stand_in"] == 1
    assert metrics["lc_low"] < metrics["lc_win_rate"] < metrics["lc_high"]
    assert metrics["lc_bootstrap_error"] > 2 * metrics["lc_standard_error"]

    other = [replace(found[0], covariates={"length": 1.0, "reference_length": 2.0}), *found[1:]]
    assert "lc_win_rate" not in benchmark.aggregate(other)  # against anything but the baseline
    assert "lc_win_rate" not in benchmark.aggregate(found[:4])  # four items

    given, controlled = list[Item](), LengthControlled(0.5, 0.1, 0.1, 0.3, 0.7, False)
    monkeypatch.setattr(
        length_controlled, "lc_win_rate", lambda items, gamed: given.extend(items) or controlled
    )
    silent = replace(found[3], value=Unparsed("?"))
    benchmark.aggregate([*found[:3], silent, *found[4:]][::-1])
    assert [i.index for i in given] == [n for n in range(804, -1, -1) if n != 3]
    assert [i.preference for i in given[:2]] == [found[804].value, found[803].value]
    first = alpaca_eval.load(folder)[1]
    assert (first.name, "lc_win_rate" in first.aggregate(found)) == ("alpaca-eval", False)
