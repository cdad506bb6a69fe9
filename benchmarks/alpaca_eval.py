"""AlpacaEval 1 (Li et al., 2023): how often the judge prefers our answer to a reference's.

    {"id": "7", "instruction": "Name three primary colours.", "category": "helpful_base"}

A verdict is 0-1 from the view of our answer: 1 better, 0 worse, 0.5 a tie. Prompt, seeded order and reading
of the reply are those of the evaluator `alpaca_eval_gpt4`; the reference may be any run. It departs in
three places: the template is cut into messages before anything is filled in, so an answer cannot open a
message of its own; two models of the same rank tie (upstream looks at model_1 alone); an unparsable reply
is counted (upstream drops it).
"""

import ast
import json
import random
import re
from collections.abc import Sequence
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

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

TEMPLATE = "evaluators_configs/alpaca_eval_gpt4/alpaca_eval.txt"
MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)
PLACEHOLDER = re.compile(r"\{(instruction|output_1|output_2)\}")

Order = Literal["random", "both"]


def load(
    folder: Path, *, order: Order = "random", seed: int = 0, temperature: float = 0.0, max_tokens: int = 2048
) -> tuple[list[Question], JudgedBenchmark]:
    """Read questions.json. order "random" asks once an item, as upstream; "both" takes the mean of two."""
    if order not in ("random", "both"):
        raise ValueError(f"no order {order!r}; known: random, both")
    template = _template()

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

    return _questions(folder / "questions.json"), JudgedBenchmark(
        name="alpaca-eval",
        version=1,
        metric="win_rate",
        pairwise=True,
        decoding=Decoding(0.0, max_tokens=100),
        sampling=lambda question: Sampling(temperature, max_tokens=max_tokens),
        requests=requests,
        parse=parse,
        aggregate=aggregate,
    )


def parse(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """Read "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", as upstream does."""
    try:
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


def aggregate(scores: Sequence[Score]) -> dict[str, float]:
    """Win rate over items, 0-1, and its standard error; an item with an unparsed verdict counts apart."""
    items: dict[str, list[float | Unparsed]] = {}
    for score in scores:
        items.setdefault(score.question, []).append(score.value)
    complete = [v for v in map(_numbers, items.values()) if v]
    values = [fmean(v) for v in complete]

    found = {"n": float(len(values)), "n_unparsed": float(len(items) - len(values))}
    if values:
        found["win_rate"] = fmean(values)
    if len(values) > 1:
        found["standard_error"] = stdev(values) / sqrt(len(values))
    for name in ("length", "reference_length"):
        if lengths := {s.question: s.covariates[name] for s in scores if name in s.covariates}:
            found[f"mean_{name}"] = fmean(lengths.values())  # characters, as upstream's avg_length
    return found


def _numbers(verdicts: Sequence[float | Unparsed]) -> list[float]:
    """The verdicts of one item, or nothing where one is missing: half an item would favour a position."""
    parsed = [v for v in verdicts if not isinstance(v, Unparsed)]
    return parsed if len(parsed) == len(verdicts) else []


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


def _template() -> tuple[Message, ...]:
    """The evaluator's messages, from the installed wheel; importing it takes seconds and may need a shim."""
    spec = find_spec("alpaca_eval")
    if spec is None or spec.origin is None:
        raise ValueError("AlpacaEval's prompt comes with the package alpaca-eval: pip install alpaca-eval")
    found = MESSAGE.findall((Path(spec.origin).parent / TEMPLATE).read_text(encoding="utf-8"))
    return tuple(Message(role=role, content=content.strip()) for role, content in found)


def _questions(path: Path) -> list[Question]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    questions = [
        Question(str(row.get("id", n)), (row["instruction"],), row.get("category", ""))
        for n, row in enumerate(rows)
    ]
    ids = [q.id for q in questions]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"{path}: question ids stand twice: {', '.join(twice)}")
    return questions
