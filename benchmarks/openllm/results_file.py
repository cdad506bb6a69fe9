"""The results of a row's tasks as lm-eval writes them, of what its samples hold.

    <row>/results_2026-11-28T22-40-15.json  {"results": {"arc_challenge": {"alias": "arc_challenge",
        "sample_len": 1172, "acc_norm,none": 0.51, "acc_norm_stderr,none": 0.0146}}, "versions": {...}, ...}

A metric is the mean over its documents with the standard error of a mean, as lm-eval has it of accuracies;
one that is no number of each document is left out. `original` of "n-samples" is not known where a limit was,
and whether higher is better is known of the leaderboards' tasks alone.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.json_files import Row
from benchmarks.openllm.tasks import V1, V2, board_of

SEEDS = {"random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234}  # evaluate.py's
NONE = "none"  # the filter of a task that has none


def results(row: str, samples: Mapping[str, Sequence[Row]], about: Mapping[str, Row], asked: Row) -> Row:
    """The file's content; `about` has version and shots of each task, `asked` is what the step was set to."""
    of_task = {task: _task(task, found) for task, found in samples.items()}
    groups = group_subtasks(list(samples))
    of_group = {name: _group(name, [of_task[t] for t in parts]) for name, parts in groups.items()}
    versions = {task: row["version"] for task, row in about.items()}
    shots = {task: row["num_fewshot"] for task, row in about.items()}
    metrics = {task: found[0]["metrics"] for task, found in samples.items()}
    counts = {task: len(found) for task, found in samples.items()}
    limit = asked["limit"]
    return {
        "results": {**of_group, **of_task},
        **({"groups": of_group} if of_group else {}),
        "group_subtasks": groups,
        "configs": {
            t: {"task": t, "num_fewshot": shots[t], "metadata": {"version": versions[t]}} for t in samples
        },
        "versions": versions,
        "n-shot": shots,
        "higher_is_better": {
            task: dict.fromkeys(names, True) for task, names in metrics.items() if board_of(task)
        },
        "n-samples": {
            task: {"original": None if limit else count, "effective": count} for task, count in counts.items()
        },
        "config": {
            "model": "prefbench",
            "model_args": f"pretrained={row}",
            "model_dtype": asked.get("dtype", "float32"),
            "batch_size": str(asked["batch_size"]),
            "limit": limit,
            "bootstrap_iters": 0,
            **SEEDS,
        },
        "model_source": "prefbench",
        "model_name": row,
        "fewshot_as_multiturn": asked["chat"],
        "chat_template": asked["template"],
    }


def group_subtasks(tasks: Sequence[str]) -> dict[str, list[str]]:
    """The leaderboards' groups that have a part here, each with its parts."""
    parts = {name: board.leaves for name, board in (V1 | V2).items() if board.leaves}
    found = {name: [t for t in tasks if t.startswith(leaves)] for name, leaves in parts.items()}
    return {name: own for name, own in found.items() if own}


def filter_of(task: str) -> str:
    """The reading of a task's replies that is scored."""
    board = board_of(task)
    return board.filter if board else NONE


def _task(task: str, samples: Sequence[Row]) -> Row:
    found: Row = {"name": task, "alias": task, "sample_len": len(samples)}
    for metric in samples[0]["metrics"]:
        values = [value for sample in samples for value in _numbers(sample[metric])]
        if values:
            name = filter_of(task)
            found[f"{metric},{name}"] = fmean(values)
            # Of instructions within prompts lm-eval gives none, and of one document there is none.
            alone = len(values) == len(samples) > 1
            found[f"{metric}_stderr,{name}"] = stdev(values) / math.sqrt(len(values)) if alone else "N/A"
    return found


def _numbers(value: Any) -> list[float]:
    """A document's value, or those of its instructions; none where it is something else."""
    values = value if isinstance(value, list) and all(isinstance(x, bool) for x in value) else [value]
    return [float(x) for x in values if isinstance(x, bool | int | float)]


def _group(name: str, tasks: Sequence[Row]) -> Row:
    """The mean over the documents of its tasks, with the pooled standard error."""
    sizes = [task["sample_len"] for task in tasks]
    found: Row = {"name": name, "alias": name, "sample_len": sum(sizes)}
    for metric in (m for m in tasks[0] if "," in m and "_stderr," not in m and all(m in t for t in tasks)):
        means, error = [task[metric] for task in tasks], metric.replace(",", "_stderr,")
        found[metric] = sum(n * mean for n, mean in zip(sizes, means, strict=True)) / sum(sizes)
        errors = [task[error] for task in tasks]
        known = "N/A" not in errors and sum(sizes) > len(sizes)
        found[error] = _pooled(errors, sizes) if known else "N/A"
    return found


def _pooled(errors: Sequence[float], sizes: Sequence[int]) -> float:
    within = sum((n - 1) * n * error**2 for n, error in zip(sizes, errors, strict=True))
    return math.sqrt(within / (sum(sizes) - len(sizes)) / sum(sizes))
