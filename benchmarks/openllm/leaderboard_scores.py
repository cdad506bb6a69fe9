"""The scores of the two Open LLM Leaderboards, from lm-eval's results; all 0-1, the boards print x 100.

    v1: the plain mean of six; MMLU is the plain mean of its 57 subjects
    v2: the mean of six normalised scores, (x - 1/k) / (1 - 1/k) and at least 0, k the number of choices

v2 as huggingface.co/docs/leaderboards/open_llm_leaderboard/normalization has it: BBH and MuSR are normalised
subtask by subtask and then averaged; GPQA and MATH are one set, all documents weighing the same; IFEval is
the mean of the strict accuracies over prompts and over instructions, MATH is exact match, and nobody guesses
either. `raw` is the mean over all documents. lm-eval itself normalises nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.json_files import json_of
from benchmarks.openllm.evaluate import TaskResult
from benchmarks.openllm.tasks import V1, V2

MMLU_SUBJECTS = 57
# Benchmark -> subtask -> number of choices; 1 where there is nothing to guess.
CHOICES: dict[str, dict[str, int]] = json_of(Path(__file__).with_name("choices.json"))
BY_SUBTASK = ("leaderboard_bbh", "leaderboard_musr")


@dataclass(frozen=True)
class Score:
    """A benchmark's mean as it is, and above chance; both 0-1. v1 normalises nothing: there they are one."""

    raw: float
    normalised: float


def normalised(value: float, choices: int) -> float:
    """(x - 1/k) / (1 - 1/k), at least 0: 0 is guessing among k choices, 1 is all right. k = 1: x itself."""
    return value if choices == 1 else max(0.0, (value - 1 / choices) / (1 - 1 / choices))


def scores(results: Sequence[TaskResult]) -> dict[str, Score]:
    """Benchmark -> score, of those that are whole; one that lacks a subtask has none."""
    by_task = {result.task: result for result in results}
    found = {name: _once(by_task[name].mean) for name in V1 if name in by_task}
    subjects = [result.mean for name, result in by_task.items() if name.startswith(V1["mmlu"].leaves)]
    if len(subjects) == MMLU_SUBJECTS:
        found["mmlu"] = _once(fmean(subjects))
    for name, choices in CHOICES.items():
        if set(choices) <= set(by_task):
            found[name] = _v2(name, {task: by_task[task] for task in choices})
    return {name: found[name] for name in (*V1, *V2) if name in found}


def averages(found: Mapping[str, Score]) -> dict[str, float]:
    """ "v1" and "v2" -> the mean of their six benchmarks, normalised on v2; absent where one of them is."""
    boards = {"v1": V1, "v2": V2}
    return {
        b: fmean(found[n].normalised for n in names)
        for b, names in boards.items()
        if set(names) <= set(found)
    }


def ifeval(result: TaskResult) -> float:
    """The mean of the strict accuracies over prompts and over instructions, some of one prompt. 0-1"""
    followed = [d["metrics"]["inst_level_strict_acc"] for d in result.details.values()]
    return (result.mean + fmean(float(x) for of_prompt in followed for x in of_prompt)) / 2


def _once(value: float) -> Score:
    return Score(value, value)


def _v2(name: str, parts: Mapping[str, TaskResult]) -> Score:
    choices = CHOICES[name]
    if name == "leaderboard_ifeval":
        return _once(ifeval(parts[name]))
    raw = fmean(value for result in parts.values() for value in result.values.values())
    if name in BY_SUBTASK:
        return Score(raw, fmean(normalised(parts[task].mean, k) for task, k in choices.items()))
    (k,) = set(choices.values())
    return Score(raw, normalised(raw, k))
