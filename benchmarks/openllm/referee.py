"""lm-eval on an export of its own samples: each task's aggregation, and that of groups of tasks.

    python -I referee.py exports/openllm OUT

Imports nothing of ours (benchmarks/referee.py). A task is aggregated by the function that lm-eval registers
for its metric, a group by `aggregate_subtask_metrics`, as lm-eval's own groups are.
"""

import io
import json
import logging
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any

MACRO, BOTH = "subjects alike", "prompts and instructions"  # the reasons, as the declaration words them
INSTRUCTIONS = "inst_level_strict_acc"  # of IFEval: a list for each prompt
BY_SUBJECT = ("mmlu",)  # groups that the leaderboard averages over their parts, whatever their sizes


def main(folder: Path, out: Path) -> None:
    """Every row of an export: <row>/samples_<task>_<date>.jsonl."""
    numbers: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*/results_*.json")):
        where = {"row": path.parent.name, "judge": "", "reference": ""}
        numbers += [where | found for found in of_row(path)]
    tool = f"lm_eval {metadata.version('lm_eval')}"
    out.write_text(json.dumps({"tool": tool, "notes": [], "numbers": numbers}))


def of_row(path: Path) -> list[dict[str, Any]]:
    """Of one row: each task, each group, and the mean over both."""
    groups = json.loads(path.read_text())["group_subtasks"]
    files = {
        file.stem.removeprefix("samples_").rpartition("_")[0]: file
        for file in sorted(path.parent.glob("samples_*.jsonl"))
    }
    tasks = {name: aggregated(file) for name, file in files.items()}
    numbers = [{"metric": f"primary/{name}", "value": value} for name, (value, _) in tasks.items()]
    of_group = {name: [tasks[part] for part in parts if part in tasks] for name, parts in groups.items()}
    for name, parts in of_group.items():
        macro = grouped(parts, by_size=False)
        ways = [{"reasons": [MACRO], "value": macro}] if name in BY_SUBJECT else []
        numbers.append({"metric": f"raw/{name}", "value": grouped(parts), "by_design": ways})
    inside = {part for parts in groups.values() for part in parts}
    alone = [task for name, task in tasks.items() if name not in inside]
    numbers += [by_itself(files[name], name, tasks[name][0]) for name in tasks if name not in inside]
    # A group weighs as much as a task.
    whole = [*alone, *((grouped(parts, by_size=False), 1) for parts in of_group.values())]
    return [*numbers, {"metric": "primary", "value": grouped(whole, by_size=False)}]


def by_itself(path: Path, name: str, value: float) -> dict[str, Any]:
    """A benchmark that is one task."""
    rows = samples(path)
    followed = [float(x) for row in rows for x in row.get(INSTRUCTIONS, ())]
    ways = []
    if followed:
        both = grouped([(value, 1), (grouped([(x, 1) for x in followed]), 1)])
        ways = [{"reasons": [BOTH], "value": both}]
    return {"metric": f"raw/{name}", "value": value, "by_design": ways}


def samples(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def aggregated(path: Path) -> tuple[float, int]:
    """A task's metric, and its number of documents."""
    from lm_eval.api.metrics import mean
    from lm_eval.api.registry import get_metric_aggregation

    rows = samples(path)
    metric = rows[0]["metrics"][0]
    aggregate = get_metric_aggregation(metric) or mean  # as lm-eval for a metric that a task defines
    return float(aggregate([row[metric] for row in rows])), len(rows)


def grouped(parts: list[tuple[float, int]], by_size: bool = True) -> float:
    from lm_eval.api.metrics import aggregate_subtask_metrics

    values, sizes = [value for value, _ in parts], [size for _, size in parts]
    return float(aggregate_subtask_metrics(values, sizes, by_size))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        main(Path(sys.argv[1]), Path(sys.argv[2]))
