"""AlpacaEval 1 (Li et al., 2023) and 2 (Dubois et al., 2024): how often the judge prefers our answer.

    {"id": "7", "instruction": "Name three primary colours.", "category": "helpful_base"}

A verdict is 0-1 from the view of our answer: 1 better, 0 worse, 0.5 a tie. Prompts, seeded order and reading
of the reply are those of upstream's evaluators; the reference may be any run. The evaluator
`alpaca_eval_gpt4` has the judge rank the two; `weighted_alpaca_eval_gpt4_turbo` takes the probability that it
gives to the name of the one against the other's. It departs in four places: the template is cut into messages
before anything is filled in, so an answer cannot open a message of its own; two models of the same rank tie
(upstream looks at model_1 alone); an unparsable reply is counted (upstream drops it); and the
length-controlled win rate exists only where it means what it says (see `length_controlled`).
"""

import ast
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from benchmarks.alpaca_eval import files
from benchmarks.alpaca_eval import length_controlled as lc
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
from benchmarks.suggest import nearest

MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)
PLACEHOLDER = re.compile(r"\{(instruction|output_1|output_2)\}")
NAME = re.compile("[ Ġ▁]?[mM]")  # one token, with the mark of a word's beginning where a tokenizer has one

Order = Literal["random", "both"]


def parse(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """Read "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", as upstream does."""
    try:
        # Upstream's prompt asks for Python's literals, in which quotes may be single: that is no JSON.
        ranking = ast.literal_eval(reply.text)
        first = next(row for row in ranking if row["model"] == "model_1")["rank"]
        second = next((row.get("rank") for row in ranking if row["model"] == "model_2"), None)
    except (ValueError, SyntaxError, TypeError, KeyError, StopIteration, MemoryError, RecursionError):
        return Unparsed(reply.text)
    if first not in (1, 2):
        return Unparsed(reply.text)
    if first == second:
        return 0.5
    return float((first == 1) == (request.order == "ab"))


def parse_logprobs(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """P("m") / (P("m") + P("M")), as upstream: a name that is not among the alternatives has probability 0.

    A tokenizer may mark the beginning of a word (" m", "Ġm", "▁m"): the likeliest name says how this judge
    writes both. No name at all, or no log-probs, is Unparsed: the reply's text alone is no weighted verdict.
    """
    names = {token: logprob for token, logprob in reply.logprobs.items() if NAME.fullmatch(token)}
    likeliest = max(names, key=names.__getitem__, default="")
    top = names.get(likeliest, -math.inf)
    if not top > -math.inf:
        return Unparsed(reply.text)
    # Less the larger one, so that two small probabilities do not both become 0.
    ours, theirs = (math.exp(names.get(likeliest[:-1] + name, -math.inf) - top) for name in "mM")
    first = ours / (ours + theirs)
    return first if request.order == "ab" else 1 - first


@dataclass(frozen=True)
class Evaluator:
    """One of upstream's: its template in the package, how the judge replies and is read, and its baseline."""

    benchmark: str
    template: str
    decoding: Decoding
    parse: Callable[[JudgeRequest, Reply], float | Unparsed]
    baseline: str


RANKED, WEIGHTED = "alpaca_eval_gpt4", "weighted_alpaca_eval_gpt4_turbo"
MAX_TOKENS = 2048  # of an answer
EVALUATORS = {
    RANKED: Evaluator(
        benchmark="alpaca-eval",
        template="evaluators_configs/alpaca_eval_gpt4/alpaca_eval.txt",
        decoding=Decoding(0.0, max_tokens=100),
        parse=parse,
        baseline="text_davinci_003",
    ),
    WEIGHTED: Evaluator(
        benchmark="alpaca-eval-2",
        template="evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        decoding=Decoding(1.0, max_tokens=1, top_logprobs=5),
        parse=parse_logprobs,
        baseline="gpt4_1106_preview",
    ),
}
BASELINE = {name: evaluator.baseline for name, evaluator in EVALUATORS.items()}


def load(
    folder: Path,
    *,
    evaluator: str = RANKED,
    order: Order = "random",
    seed: int = 0,
    max_tokens: int = MAX_TOKENS,
) -> tuple[list[Question], JudgedBenchmark]:
    """Read the questions of a folder: questions.json, alpaca_eval.json, or those of a baseline's outputs.

    order "random" asks once an item, as upstream; "both" takes the mean of two. `max_tokens`
    is of the answers. With the weighted evaluator, on the 805 instructions against its baseline, and where
    the folder holds df_gamed.csv, the length-controlled win rate is computed too.
    """
    sampling = Sampling(max_tokens=max_tokens)
    benchmark = replace(comparison(evaluator, order, seed), sampling=lambda question: sampling)
    questions = files.read_questions(folder, tuple(BASELINE.values()))
    gamed = lc.find_gamed(folder) if evaluator == WEIGHTED else None
    if gamed:
        controlled = partial(_with_length_controlled, folder, gamed, questions)
        benchmark = replace(benchmark, aggregate=controlled)
    return questions, benchmark


def comparison(evaluator: str, order: Order, seed: int = 0) -> JudgedBenchmark:
    """One of upstream's evaluators, whatever the questions are; see `load`."""
    if evaluator not in EVALUATORS:
        raise ValueError(f"no evaluator {evaluator!r}{nearest(evaluator, EVALUATORS)}")
    if order not in ("random", "both"):
        raise ValueError(f"no order {order!r}; known: random, both")
    chosen = EVALUATORS[evaluator]
    template = _template(chosen.template)

    def requests(question: Question, answer: Answer, reference: Answer | None) -> list[JudgeRequest | Score]:
        if reference is None:
            raise ValueError(f"AlpacaEval compares with a reference; question {question.id} has none")
        ours, theirs = answer.turns[0], reference.turns[0]
        lengths = {"length": float(len(ours)), "reference_length": float(len(theirs))}
        if ours == theirs:  # upstream's 1.5, without asking
            return [Score(question.id, 0.5, question.category, covariates=lengths)]
        return [
            JudgeRequest(
                question.id,
                _fill(template, question.turns[0], *((ours, theirs) if side == "ab" else (theirs, ours))),
                order=side,
                covariates=lengths,
            )
            for side in _sides(question.turns[0], order, seed)
        ]

    return JudgedBenchmark(
        name=chosen.benchmark,
        metric="win_rate",
        pairwise=True,
        decoding=chosen.decoding,
        sampling=lambda question: Sampling(),
        requests=requests,
        parse=chosen.parse,
        aggregate=aggregate,
    )


def baseline(folder: Path, name: str) -> dict[str, Answer]:
    """Question id -> the answer of the model `name`, matched by instruction; see `files.read_answers`."""
    return files.read_answers(
        files.outputs_path(folder, name), files.read_questions(folder, tuple(BASELINE.values()))
    )


def aggregate(scores: Sequence[Score]) -> dict[str, float]:
    """Win rates over items, 0-1, and the standard error; an item with an unparsed verdict counts apart.

    `discrete_win_rate` counts a win as 1 and a tie as 1/2, whatever the margin. Where items were asked in
    both orders: `first_slot_rate`, how often the answer shown first won (ties 1/2), and `order_agreement`,
    the share of items whose two verdicts name the same winner.
    """
    items = item_values(scores)
    values = [v for v in items.values() if v is not None]
    found = {"n": float(len(values)), "n_unparsed": float(len(items) - len(values))}
    if values:
        found |= {"win_rate": fmean(values), "discrete_win_rate": fmean(map(_winner, values))}
    if len(values) > 1:
        found["standard_error"] = stdev(values) / sqrt(len(values))
    for name in ("length", "reference_length"):
        if lengths := {s.question: s.covariates[name] for s in scores if name in s.covariates}:
            found[f"mean_{name}"] = fmean(lengths.values())  # characters, as upstream's avg_length
    return found | _positions(scores)


def item_values(scores: Sequence[Score]) -> dict[str, float | None]:
    """Question id -> mean verdict, 0-1; None where one is unparsed, since half an item favours a position."""
    items: dict[str, list[float | Unparsed]] = {}
    for score in scores:
        items.setdefault(score.question, []).append(score.value)
    parsed = {id: [v for v in verdicts if not isinstance(v, Unparsed)] for id, verdicts in items.items()}
    return {id: fmean(v) if len(v) == len(items[id]) else None for id, v in parsed.items()}


def _positions(scores: Sequence[Score]) -> dict[str, float]:
    shown: dict[str, dict[str, float]] = {}
    for s in scores:
        if s.order and not isinstance(s.value, Unparsed):
            shown.setdefault(s.question, {})[s.order] = _winner(s.value)
    pairs = [(v["ab"], v["ba"]) for v in shown.values() if len(v) == 2]
    if not pairs:
        return {}
    return {
        "first_slot_rate": fmean((ab + 1 - ba) / 2 for ab, ba in pairs),
        "order_agreement": fmean(ab == ba for ab, ba in pairs),
    }


def _winner(value: float) -> float:
    """1 ours, 0 theirs, 0.5 neither."""
    return 0.5 if value == 0.5 else float(value > 0.5)


def _with_length_controlled(
    folder: Path, gamed: lc.Gamed, questions: Sequence[Question], scores: Sequence[Score]
) -> dict[str, float]:
    found = aggregate(scores)
    items = _lc_items(folder, {q.id: q.turns[0] for q in questions}, scores)
    if items is None:
        return found
    try:
        controlled = lc.lc_win_rate(items, gamed)
    except ValueError:  # not defined on these items
        return found
    return found | {
        "lc_win_rate": controlled.value,
        "lc_standard_error": controlled.standard_error,
        "lc_bootstrap_error": controlled.bootstrap_error,
        "lc_low": controlled.low,
        "lc_high": controlled.high,
        "lc_stand_in": float(controlled.stand_in),
    }


def _lc_items(folder: Path, instructions: Mapping[str, str], scores: Sequence[Score]) -> list[lc.Item] | None:
    """The items with a verdict, or None unless all are of the 805, against the baseline of AlpacaEval 2.

    That the reference is the baseline shows in its lengths.
    """
    try:
        rows = files.read_rows(files.outputs_path(folder, BASELINE[WEIGHTED]))
    except ValueError:  # no such file: nothing to compare with
        return None
    places = lc.places([row["instruction"] for row in rows]) or {}
    lengths = {s.question: s.covariates for s in scores}
    items = []
    for id, value in item_values(scores).items():
        place = places.get(instructions.get(id, ""))
        theirs = lengths[id].get("reference_length")
        if place is None or theirs is None or theirs != len(rows[place]["output"]):
            return None
        if value is not None:
            items.append(lc.Item(place, value, lengths[id]["length"], theirs))
    return items


def _sides(instruction: str, order: Order, seed: int) -> tuple[Literal["ab", "ba"], ...]:
    """Which answer stands first; the random rule is upstream's RandomSwitchTwoColumnsProcessor."""
    if order == "both":
        return ("ab", "ba")
    switched = random.Random(f"is_switched_outputs{instruction}{seed}").choices([False, True])[0]
    return ("ab",) if switched else ("ba",)  # upstream's output_1 is the reference


def _fill(template: Sequence[Message], instruction: str, output_1: str, output_2: str) -> tuple[Message, ...]:
    """Put the three texts in, in one pass: a placeholder inside an answer stays as it is."""
    values = {"instruction": instruction, "output_1": output_1, "output_2": output_2}
    return tuple(
        Message(role=m["role"], content=PLACEHOLDER.sub(lambda found: values[found[1]], m["content"]))
        for m in template
    )


def _template(name: str) -> tuple[Message, ...]:
    """The evaluator's messages, from the installed wheel; importing it takes seconds and may need a shim."""
    spec = find_spec("alpaca_eval")
    if spec is None or spec.origin is None:
        raise ValueError("AlpacaEval's prompt comes with the package alpaca-eval: pip install alpaca-eval")
    found = MESSAGE.findall((Path(spec.origin).parent / name).read_text(encoding="utf-8"))
    return tuple(Message(role=role, content=content.strip()) for role, content in found)
