"""Judges whose quality is known: always right, always for the first, tossing coins, silent."""

import json
import random
from collections.abc import Callable
from math import log, sqrt
from pathlib import Path

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.api import (
    Answer,
    Decoding,
    JudgedBenchmark,
    JudgeRequest,
    Message,
    Question,
    Reply,
    Sampling,
    Score,
    Unparsed,
)
from benchmarks.judge_check import benchmark as judge_check
from benchmarks.judge_check.benchmark import Asked, GoldPair, JudgeQuality, Rate, Verdict, report

Judge = Callable[[Asked], float | Unparsed]
PAIRS = [GoldPair(f"{s}/{n}", s, "q", "one", "two", 1 if n % 2 else 2) for s in ("A", "B") for n in range(4)]


def pairwise(orders: tuple[str, ...] = ("ab", "ba"), *, asks_in_pairs: bool = True) -> JudgedBenchmark:
    """Shows the judge both texts in order."""

    def requests(question: Question, ours: Answer, theirs: Answer | None) -> list[JudgeRequest | Score]:
        assert theirs is not None
        if not orders:
            return [Score(question.id, 0.5)]
        texts = {"ab": f"{ours.turns[0]}|{theirs.turns[0]}", "ba": f"{theirs.turns[0]}|{ours.turns[0]}"}
        made: list[JudgeRequest | Score] = []
        for order in ("ab", "ba"):
            message = Message(role="user", content=f"{question.turns[0]}|{texts[order]}")
            made += [JudgeRequest(question.id, (message,), order=order)] if order in orders else []
        return made

    return JudgedBenchmark(
        name="scripted",
        metric="win_rate",
        pairwise=asks_in_pairs,
        decoding=Decoding(),
        sampling=lambda question: Sampling(),
        requests=requests,
        parse=lambda request, reply: Unparsed(reply.text),
        aggregate=lambda scores: {},
    )


def verdicts(judge: Judge, repeats: int = 1, pairs: list[GoldPair] = PAIRS) -> list[Verdict]:
    asked = judge_check.requests(pairs, pairwise(), repeats)
    return [Verdict(a.pair, a.repeat, a.request.order, judge(a)) for a in asked]


def right(asked: Asked) -> float:
    return float(asked.pair.label == 1)


def test_a_judge_that_is_always_right_agrees_in_full_and_favours_no_slot() -> None:
    found = report(verdicts(right, repeats=2))
    assert (found.n, found.pairs, found.verdicts, found.unparsed) == (8, 8, 32, 0)
    assert found.agreement == Rate(1.0, 8) and found.consistent == Rate(1.0, 8)
    assert found.by_subset == {"A": Rate(1.0, 4), "B": Rate(1.0, 4)}
    assert (found.first_slot_rate, found.kappa, found.repeat_noise, found.flips) == (0.5, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("strength", [1.0, 0.9, 0.7, 0.51])
def test_a_judge_of_slots_agrees_by_half_is_never_consistent_and_is_found_out(strength: float) -> None:
    """Also a soft one, whose p and 1 - p need not add up to 1 exactly."""
    found = report(verdicts(lambda a: strength if a.request.order == "ab" else 1 - strength))
    assert found.agreement == Rate(0.5, 8) and found.consistent == Rate(0.0, 8)
    assert (found.first_slot_rate, found.kappa) == (1.0, 0.0)
    assert (found.repeat_noise, found.flips) == (None, None)
    last = report(verdicts(lambda a: 1 - strength if a.request.order == "ab" else strength))
    assert last.first_slot_rate == 0.0 and last.agreement == Rate(0.5, 8)


def test_a_judge_that_is_always_wrong_has_the_worst_kappa_and_one_that_always_ties_none() -> None:
    found, ties = report(verdicts(lambda a: 1 - right(a))), report(verdicts(lambda a: 0.5))
    assert (found.agreement, found.consistent) == (Rate(0.0, 8), Rate(1.0, 8))
    assert (found.kappa, found.first_slot_rate) == (-1.0, 0.5)
    assert (ties.agreement, ties.consistent) == (Rate(0.5, 8), Rate(0.0, 8))
    assert (ties.kappa, ties.first_slot_rate) == (0.0, 0.5)


def test_a_mixed_judge_by_hand() -> None:
    """Four pairs, gold 1, 1, 1, 2; orders (ab, ba): (1, 1) right, (1, 0) tie, (1, .6) right, (1, .8) wrong.

    agreement (1 + 1/2 + 1 + 0) / 4 = 5/8;   both orders for one winner in 3 of 4
    first slot, of 8: ab 4 of 4, ba 1 of 4 (only the 0 is for the first)  = 5/8
    votes for 1: 1, 1/2, 1, 1 = 7/8, gold 3/4: expected 7/8 3/4 + 1/8 1/4 = 22/32
    kappa (20 - 22) / (32 - 22)
    """
    pairs = [GoldPair(f"A/{n}", "A", "q", "one", "two", 2 if n == 3 else 1) for n in range(4)]
    against = {"A/0": 1.0, "A/1": 0.0, "A/2": 0.6, "A/3": 0.8}
    found = report(verdicts(lambda a: 1.0 if a.request.order == "ab" else against[a.pair.id], pairs=pairs))
    assert found.agreement == Rate(5 / 8, 4) and found.consistent == Rate(3 / 4, 4)
    assert found.first_slot_rate == 5 / 8
    assert found.kappa == pytest.approx(-0.2)


def test_the_noise_of_repeats_by_hand() -> None:
    """Pair 0 in three repeats (ab, ba): (1, 1), (1, 0), (0, 0), items 1, 1/2, 0: variance 1/4, two degrees.
    Pair 1: (1, .5) three times: variance 0, two degrees.   Pooled: sqrt((2/4 + 0) / 4) = sqrt(1/8)

    Flips: each order of pair 0 differs in 2 of its 3 twos; pair 1 never: 4 of 12.
    Agreement, gold 2: pair 0 (0 + 1/2 + 1) / 3;   gold 1: pair 1 is right (.75)
    """
    pairs = [GoldPair("A/0", "A", "q", "one", "two", 2), GoldPair("A/1", "A", "q", "one", "two", 1)]
    said = {"A/0": [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0)], "A/1": [(1.0, 0.5)] * 3}
    found = report(
        verdicts(lambda a: said[a.pair.id][a.repeat][a.request.order == "ba"], repeats=3, pairs=pairs)
    )
    assert found.repeat_noise == pytest.approx(sqrt(1 / 8))
    assert found.flips == pytest.approx(4 / 12)
    assert found.agreement == Rate(0.75, 2)
    assert found.n == 2


def test_a_coins_noise_is_that_of_a_coin() -> None:
    """An item is the mean of two tosses, standard deviation sqrt(1/8); two tosses differ half of the time."""
    coin = random.Random(0)
    pairs = [GoldPair(f"A/{n}", "A", "q", "one", "two", 1 if n % 2 else 2) for n in range(1000)]
    found = report(verdicts(lambda a: float(coin.random() < 0.5), repeats=3, pairs=pairs))
    assert found.repeat_noise == pytest.approx(sqrt(1 / 8), abs=0.01)
    assert found.flips == pytest.approx(0.5, abs=0.02)
    assert found.agreement is not None and found.agreement.value == pytest.approx(0.5, abs=0.03)
    assert found.kappa == pytest.approx(0, abs=0.05)
    assert found.first_slot_rate == pytest.approx(0.5, abs=0.03)


def test_a_judge_that_says_nothing_is_counted_and_has_no_quality() -> None:
    found = report(verdicts(lambda a: Unparsed(""), repeats=2))
    assert found == JudgeQuality(0, 8, None, {}, None, None, None, None, None, unparsed=32, verdicts=32)
    assert report([]).pairs == 0


def test_half_an_item_is_left_out_as_it_would_favour_a_slot() -> None:
    """Order ba of the pairs of label 2 is never read: what is left is right, not biased, and half as much."""
    found = report(
        verdicts(lambda a: Unparsed("?") if a.request.order == "ba" and a.pair.label == 2 else right(a))
    )
    assert (found.n, found.pairs, found.unparsed, found.verdicts) == (4, 8, 4, 16)
    assert found.agreement == Rate(1.0, 4) and found.first_slot_rate == 0.5
    assert found.kappa is None  # all gold is 1, and so is the judge: chance agrees always


def test_a_pair_read_in_one_of_its_repeats_still_counts() -> None:
    found = report(verdicts(lambda a: Unparsed("?") if a.repeat == 1 else right(a), repeats=2))
    assert (found.n, found.unparsed, found.repeat_noise, found.flips) == (8, 16, None, None)


def test_two_verdicts_for_one_request_are_refused() -> None:
    one = Verdict(PAIRS[0], 0, "ab", 1.0)
    with pytest.raises(ValueError, match="A/0, repeat 0: order 'ab' is unknown or there twice"):
        report([one, one])
    with pytest.raises(ValueError, match="order '' is unknown"):
        report([Verdict(PAIRS[0], 0, "", 1.0)])


def test_every_pair_is_asked_in_both_orders_and_every_repeat() -> None:
    asked = judge_check.requests(PAIRS[:2], pairwise(), repeats=3)
    keys = [(a.pair.id, a.repeat, a.request.order) for a in asked]
    assert keys == [(f"A/{n}", r, o) for n in (0, 1) for r in range(3) for o in ("ab", "ba")]
    assert [a.request.messages[0]["content"] for a in asked[:2]] == ["q|one|two", "q|two|one"]


def test_a_benchmark_that_does_not_ask_in_both_orders_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"scripted asks A/0 in orders: ba; a check wants ab, ba: order='both'"
    ):
        judge_check.requests(PAIRS, pairwise(("ba",)))
    with pytest.raises(ValueError, match="in orders: none"):
        judge_check.requests(PAIRS, pairwise(()))
    with pytest.raises(ValueError, match="wants a pairwise benchmark and repeats >= 1: scripted, 1"):
        judge_check.requests(PAIRS, pairwise(asks_in_pairs=False))
    with pytest.raises(ValueError, match="repeats >= 1: scripted, 0"):
        judge_check.requests(PAIRS, pairwise(), repeats=0)


def test_the_real_gold_is_read_whole(shared_data: Path) -> None:
    gold = judge_check.load_gold(shared_data / "preference/llmbar")
    sizes = {s: sum(p.subset == s for p in gold) for s in sorted({p.subset for p in gold})}
    assert sizes == {
        "Adversarial_GPTInst": 92,
        "Adversarial_GPTOut": 47,
        "Adversarial_Manual": 46,
        "Adversarial_Neighbor": 134,
        "Natural": 100,
    }
    assert len({p.id for p in gold}) == 419 and {p.label for p in gold} == {1, 2}
    rows = json.loads((shared_data / "preference/llmbar/Natural.json").read_text())
    (third,) = [p for p in gold if p.id == "Natural/2"]
    assert (third.instruction, third.output_1, third.output_2, third.label) == tuple(
        rows[2][key] for key in ("input", "output_1", "output_2", "label")
    )


RANKED = {
    True: "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]",
    False: "[{'model': 'model_1', 'rank': 2}, {'model': 'model_2', 'rank': 1}]",
}
REAL_PROMPTS = [  # evaluator, what stands before the first text, and how it says that the first is better
    ("alpaca_eval_gpt4", '"model": "model_1",\n        "answer": ', lambda first: Reply(RANKED[first])),
    (
        "weighted_alpaca_eval_gpt4_turbo",
        '"model_identifier": "m",\n        "output": ',
        lambda first: Reply("", {"m": log(0.9 if first else 0.1), "M": log(0.1 if first else 0.9)}),
    ),
]


@pytest.mark.parametrize(("evaluator", "slot", "reply"), REAL_PROMPTS, ids=["ranks", "weighted"])
def test_all_of_llmbar_goes_through_the_prompts_of_alpaca_eval(
    shared_data: Path, tmp_path: Path, evaluator: str, slot: str, reply: Callable[[bool], Reply]
) -> None:
    """Two scripted judges that see the prompt alone: one knows the better text, one takes the first slot."""
    (tmp_path / "questions.json").write_text("[]")
    _, benchmark = alpaca_eval.load(tmp_path, evaluator=evaluator, order="both")
    gold = judge_check.load_gold(shared_data / "preference/llmbar")
    asked = judge_check.requests(gold, benchmark)
    assert len(asked) == 2 * 419

    def judged(says_first: Callable[[Asked], bool]) -> JudgeQuality:
        values = [benchmark.parse(a.request, reply(says_first(a))) for a in asked]
        return report(Verdict(a.pair, 0, a.request.order, v) for a, v in zip(asked, values, strict=True))

    def better_stands_first(a: Asked) -> bool:
        better = a.pair.output_1 if a.pair.label == 1 else a.pair.output_2
        return f'{slot}"""{better}"""' in a.request.messages[-1]["content"]

    knows, slots = judged(better_stands_first), judged(lambda a: True)
    assert (knows.n, knows.unparsed, knows.first_slot_rate) == (419, 0, 0.5)
    assert knows.agreement == knows.consistent == Rate(1.0, 419)
    assert knows.kappa == pytest.approx(1.0)
    assert (slots.n, slots.first_slot_rate, slots.kappa) == (419, 1.0, 0.0)
    assert (slots.agreement, slots.consistent) == (Rate(0.5, 419), Rate(0.0, 419))


@pytest.mark.parametrize(
    "row",
    [
        {"input": "q", "output_1": "a", "output_2": "b"},
        {"input": "q", "output_1": "a", "output_2": "b", "label": 3},
        {"input": "q", "output_1": "a", "output_2": "b", "label": True},
        {"input": "q", "output_1": "a", "output_2": "a", "label": 1},
    ],
)
def test_a_row_that_is_no_gold_pair_is_named(tmp_path: Path, row: dict[str, object]) -> None:
    good = {"input": "q", "output_1": "a", "output_2": "b", "label": 1}
    (tmp_path / "Mine.json").write_text(json.dumps([good, row]))
    with pytest.raises(ValueError, match=r"Mine\.json, row 2: no gold pair"):
        judge_check.load_gold(tmp_path)


def test_a_folder_without_gold_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \*\.json with gold pairs in "):
        judge_check.load_gold(tmp_path)
