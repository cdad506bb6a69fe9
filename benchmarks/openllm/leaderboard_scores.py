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
from statistics import fmean

from benchmarks.openllm.evaluate import TaskResult
from benchmarks.openllm.tasks import V1, V2

MMLU_SUBJECTS = 57
# Subtask -> number of choices; 1 where there is nothing to guess.
CHOICES: dict[str, dict[str, int]] = {
    "leaderboard_bbh": {
        "leaderboard_bbh_boolean_expressions": 2,
        "leaderboard_bbh_causal_judgement": 2,
        "leaderboard_bbh_date_understanding": 6,
        "leaderboard_bbh_disambiguation_qa": 3,
        "leaderboard_bbh_formal_fallacies": 2,
        "leaderboard_bbh_geometric_shapes": 11,
        "leaderboard_bbh_hyperbaton": 2,
        "leaderboard_bbh_logical_deduction_five_objects": 5,
        "leaderboard_bbh_logical_deduction_seven_objects": 7,
        "leaderboard_bbh_logical_deduction_three_objects": 3,
        "leaderboard_bbh_movie_recommendation": 6,
        "leaderboard_bbh_navigate": 2,
        "leaderboard_bbh_object_counting": 19,
        "leaderboard_bbh_penguins_in_a_table": 5,
        "leaderboard_bbh_reasoning_about_colored_objects": 18,
        "leaderboard_bbh_ruin_names": 6,
        "leaderboard_bbh_salient_translation_error_detection": 6,
        "leaderboard_bbh_snarks": 2,
        "leaderboard_bbh_sports_understanding": 2,
        "leaderboard_bbh_temporal_sequences": 4,
        "leaderboard_bbh_tracking_shuffled_objects_five_objects": 5,
        "leaderboard_bbh_tracking_shuffled_objects_seven_objects": 7,
        "leaderboard_bbh_tracking_shuffled_objects_three_objects": 3,
        "leaderboard_bbh_web_of_lies": 2,
    },
    "leaderboard_gpqa": {f"leaderboard_gpqa_{part}": 4 for part in ("diamond", "extended", "main")},
    "leaderboard_ifeval": {"leaderboard_ifeval": 1},
    "leaderboard_math_hard": {
        f"leaderboard_math_{subject}_hard": 1
        for subject in (
            "algebra",
            "counting_and_prob",
            "geometry",
            "intermediate_algebra",
            "num_theory",
            "prealgebra",
            "precalculus",
        )
    },
    "leaderboard_mmlu_pro": {"leaderboard_mmlu_pro": 10},
    "leaderboard_musr": {
        "leaderboard_musr_murder_mysteries": 2,
        "leaderboard_musr_object_placements": 5,
        "leaderboard_musr_team_allocation": 3,
    },
}
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
