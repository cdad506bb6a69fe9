"""The questions of a benchmark and its functions, as a suite asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.api import Answer, JudgedBenchmark, Question
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.gsm8k import benchmark as gsm8k_cot
from benchmarks.mt_bench import benchmark as mt_bench
from benchmarks.mt_bench import fastchat_files
from harness.suite.benchmarks import BASELINE

Loaded = tuple[list[Question], JudgedBenchmark]
EVALUATORS = {evaluator.benchmark: name for name, evaluator in alpaca_eval.EVALUATORS.items()}
LOGPROBS = ("alpaca-eval-2",)  # their judge's verdict is in the log-probs of its first token
DATA = {  # benchmark -> the data set that `bench data` knows
    "mt-bench": "mt-bench",
    "alpaca-eval": "alpaca-eval",
    "alpaca-eval-2": "alpaca-eval",
    "arena-hard": "arena-hard",
    "gsm8k-cot": "gsm8k",
}


def load(name: str, folder: Path, settings: Mapping[str, Any]) -> Loaded:
    """The first `limit` questions of a benchmark and its functions.

    "rule" puts AlpacaEval's questions to MT-Bench's single-answer grading: the mean score on them.
    """
    questions, benchmark = _whole(name, folder, settings)
    return questions[: settings.get("limit")], benchmark


def _whole(name: str, folder: Path, settings: Mapping[str, Any]) -> Loaded:
    cut = {"max_tokens": settings["max_tokens"]} if settings.get("max_tokens") else {}
    given = {k: settings[k] for k in ("order", "version") if k in settings}
    match name:
        case "mt-bench":
            return mt_bench.load(folder, **cut, reference=settings.get("references", "gpt-4"))
        case "alpaca-eval" | "alpaca-eval-2":
            return alpaca_eval.load(folder, evaluator=EVALUATORS[name], **given, **cut)
        case "arena-hard":
            return arena_hard.load(folder, **given, **cut)
        case "gsm8k-cot":
            return gsm8k_cot.load(folder, **cut)
        case "rule":
            asked, pairwise = alpaca_eval.load(folder / "alpaca_eval", **cut)
            _, graded = mt_bench.load(folder / "mt_bench", **cut)
            return asked, replace(graded, name="rule", sampling=pairwise.sampling)
    raise AssertionError(f"no benchmark {name!r}")


def stored_for(
    name: str, folder: Path, settings: Mapping[str, Any], model: str, asked: Sequence[Question]
) -> list[Answer]:
    """Answers to the questions that lie in the data: of a named model, or of the authors' "baseline"."""
    found = _stored(name, folder, settings, model)
    if absent := [q.id for q in asked if q.id not in found]:
        raise ValueError(
            f"{name}: {model} has no answer to {len(absent)} of {len(asked)} questions, {absent[0]} the first"
        )
    return [found[q.id] for q in asked]


def _stored(name: str, folder: Path, settings: Mapping[str, Any], model: str) -> dict[str, Answer]:
    if name == "arena-hard":
        return arena_hard.stored(folder, settings["version"], None if model == BASELINE else model)
    if name in EVALUATORS:
        named = alpaca_eval.BASELINE[EVALUATORS[name]] if model == BASELINE else model
        return alpaca_eval.baseline(folder, named)
    if name == "mt-bench" and model != BASELINE:
        return fastchat_files.read_answers(folder, model)
    raise ValueError(f"{name}: its data holds no answers of {model!r}")
