"""GSM8K, zero-shot with chain of thought (Cobbe et al., 2021), asked and read as ZeroEval does: no judge.

    {"question": "Janet's ducks lay 16 eggs per day ...", "answer": "... She makes 9 * 2 = $18 ...\\n#### 18"}

The model is asked for JSON, {"reasoning": "...", "answer": "42"}, and its first number there is compared with
the data's. Prompt, reading and greedy decoding of at most 4096 tokens are those of ZeroEval (Lin, 2024), by
which PAD reports GSM8K. It departs in two places: a fraction is worked out as arithmetic on numbers
(ZeroEval runs what the model wrote as Python), and \\boxed{} is not looked for (ZeroEval does so only for
models named Llama-3.1).
"""

import ast
import json
import operator
import re
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from pydantic import BaseModel

from benchmarks.api import (
    Answer,
    JudgedBenchmark,
    JudgeRequest,
    Question,
    Sampling,
    Score,
    Unparsed,
)
from benchmarks.json_files import Words, json_lines, json_of
from benchmarks.text import cut

# Word for word, blanks at the ends of lines included, as a model sees them: no editor trims those in JSON.
PROMPT: str = json_of(Path(__file__).with_name("prompt.json"))["prompt"]
MAX_TOKENS = 4096
NO_ANSWER = "no answer found in JSON"
FILES = ("gsm8k_test.jsonl", "gsm8k_test.jsonl.gz")

# Without a JSON object that has an answer, in this order; bare values end at a comma or a blank.
FIELDS = tuple(
    map(re.compile, (r'"answer"\s*:\s*"([^"]*)"', r'"answer"\s*:\s*([^,\s]*)', r"answer\s*:\s*([^,\s]*)"))
)
NUMBER = re.compile(r"-?\d+(\.\d+)?")
# A number by itself, with words at most: of "1 000", ".5" or "1e3" the first number is another one.
GOLD = re.compile(r"[^\d.\u2212-]*-?\d+(\.\d+)?\D*")
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: float(a) ** float(b),  # of integers, 9**9**9 would never end
}


class Problem(BaseModel):
    """A row: a question, and its worked solution that ends in "#### number"."""

    question: Words
    answer: str


def load(folder: Path, *, max_tokens: int = MAX_TOKENS) -> tuple[list[Question], JudgedBenchmark]:
    """Read gsm8k_test.jsonl[.gz]; a question's one turn is the whole prompt, its reference the number.

    The ids are ZeroEval's, "gsm8k-main-test-#0". ValueError: no such file, or a row without "#### number".
    """
    return _questions(folder), JudgedBenchmark(
        name="gsm8k-cot",
        metric="accuracy",
        sampling=lambda question: Sampling(max_tokens=max_tokens),
        requests=requests,
        aggregate=aggregate,
    )


def requests(
    question: Question, answer: Answer, reference: Answer | None = None
) -> list[JudgeRequest | Score]:
    """One Score: 1 right, 0 wrong, Unparsed where there is no answer to read."""
    found = extract(answer.turns[0])
    value = Unparsed(NO_ANSWER) if found is None else float(same_number(found, question.reference[0]))
    covariates = {"length": float(len(answer.turns[0])), "truncated": float(answer.truncated[0])}
    return [Score(question.id, value, question.category, covariates=covariates)]


def extract(text: str) -> str | None:
    """The text of the answer: "answer" of the first JSON object, else what stands after `answer:`.

    An answer may be empty: that is a wrong one, as upstream, and not a missing one.
    """
    found = _first_object(text)
    if found is not None and "answer" in found:
        return str(found["answer"])
    match = next((m for field in FIELDS if (m := field.search(text))), None)
    return match[1] if match else None


def same_number(answer: str, gold: str) -> bool:
    """Whether the first numbers are equal, past $ and thousands' commas; fractions are worked out first."""
    ours, theirs = (NUMBER.search(_sanitized(text)) for text in (answer, gold))
    return bool(ours and theirs and float(ours[0]) == float(theirs[0]))


def aggregate(scores: Sequence[Score]) -> dict[str, float]:
    """Accuracy over all questions, 0-1: a missing answer is a wrong one, as upstream.

    "accuracy_of_parsed" leaves missing ones out. "n" counts all questions, "n_unparsed" those without an
    answer, "n_truncated" those cut at max_tokens; "standard_error" is that of "accuracy".
    """
    parsed = [s.value for s in scores if not isinstance(s.value, Unparsed)]
    values = parsed + [0.0] * (len(scores) - len(parsed))
    found = {"n": float(len(values)), "n_unparsed": float(len(values) - len(parsed))}
    found["n_truncated"] = sum(s.covariates.get("truncated", 0.0) for s in scores)
    if values:
        found["accuracy"] = fmean(values)
    if parsed:
        found["accuracy_of_parsed"] = fmean(parsed)
    if len(values) > 1:
        found["standard_error"] = stdev(values) / sqrt(len(values))
    return found


def _first_object(text: str) -> dict[str, Any] | None:
    """The first balanced {...} as JSON, line breaks taken out; braces inside strings count, as upstream."""
    # Not json's raw_decode: where a string holds a brace, ZeroEval takes another end, and another answer.
    depth = start = 0
    for at, char in enumerate(text):
        if char == "{":
            start = at if depth == 0 else start
            depth += 1
        elif char == "}" and depth:
            depth -= 1
            if depth == 0:
                try:
                    found: dict[str, Any] = json.loads(text[start : at + 1].replace("\n", ""))
                except (ValueError, RecursionError):  # ValueError: also a number of thousands of digits
                    return None
                return found
    return None


def _sanitized(text: str) -> str:
    text = text.replace("$", "").strip().replace(",", "")
    if "/" in text:
        try:
            return str(float(_worked_out(ast.parse(text.lstrip(" \t"), mode="eval").body)))
        except (SyntaxError, ValueError, TypeError, ArithmeticError, MemoryError, RecursionError):
            return text  # "18/day", "1/2 cup", "5/0": the first number of the text itself counts
    return text


def _worked_out(node: ast.expr) -> int | float:
    # Never `eval`: what a model wrote is data.
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_worked_out(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _worked_out(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            found: int | float = ARITHMETIC[type(op)](_worked_out(left), _worked_out(right))
            return found
    raise ValueError("not arithmetic on numbers")


def _questions(folder: Path) -> list[Question]:
    path = next((folder / name for name in FILES if (folder / name).exists()), None)
    if path is None:
        raise ValueError(f"no {' or '.join(FILES)} in {folder}")
    questions = []
    for n, row in enumerate(json_lines(path, Problem, "GSM8K's format")):
        gold = row["answer"].rpartition("####")[2].strip()
        if "####" not in row["answer"] or not GOLD.fullmatch(_sanitized(gold)):
            told = f"the answer does not end in '#### number': {cut(repr(row['answer'][-40:]))}"
            raise ValueError(f"{path}, row {n + 1}: {told}")
        prompt = PROMPT.replace("{question}", row["question"])
        questions.append(Question(f"gsm8k-main-test-#{n}", (prompt,), reference=(gold,)))
    return questions
