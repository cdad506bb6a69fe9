"""Documents and scores of lm-eval's tasks in the files that lm-eval itself writes of them.

    <row>/samples_arc_challenge.jsonl  {"doc_id": 12, "doc_hash": "5d1f30a7", "target": 2, "filter": "none",
                                        "resps": [[[-3.1, false]], ...], "metrics": ["acc_norm", "acc"],
                                        "acc_norm": 1.0, "acc": 0.0}
    <row>/results.json                 {"group_subtasks": {"mmlu": ["mmlu_anatomy", ...]}, "versions": {...},
                                        "n-shot": {...}}

The first of `metrics` is the one that the task is scored by. What was asked is not in them: the data are not
ours to copy.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.json_files import Row, write_lines
from benchmarks.openllm.tasks import V1, V2


def write(folder: Path, results: Sequence[Row], details: Sequence[Row]) -> None:
    """Write the files of one row; `results` and `details` are those of its step, document by document."""
    told = {(row["task"], row["document"]): row for row in details}
    tasks: dict[str, list[Row]] = defaultdict(list)
    for row in results:
        tasks[row["task"]].append(_sample(row, told[row["task"], row["document"]]))
    for task, samples in tasks.items():
        write_lines(folder / f"samples_{task}.jsonl", samples)
    about = {row["task"]: row for row in results}
    run = {
        "group_subtasks": _groups(about),
        "versions": {task: row["version"] for task, row in about.items()},
        "n-shot": {task: row["num_fewshot"] for task, row in about.items()},
    }
    (folder / "results.json").write_text(json.dumps(run, indent=1))


def _sample(row: Row, told: Mapping[str, Any]) -> Row:
    position, _, digest = row["document"].partition("-")
    metrics = told["metrics"]
    primary = row["metric"]
    names = [primary, *(name for name in metrics if name != primary)]
    replies = told.get("generated") or told["loglikelihoods"]
    if "greedy" in told:
        replies = list(zip(replies, told["greedy"], strict=True))
    return {
        "doc_id": int(position),
        "doc_hash": digest,
        "target": told["target"],
        "resps": [[reply] for reply in replies],
        "metrics": names,
    } | {name: metrics[name] for name in names}


def _groups(tasks: Mapping[str, Any]) -> dict[str, list[str]]:
    """The leaderboards' groups that have a part here, each with its parts."""
    parts = {name: board.leaves for name, board in (V1 | V2).items() if board.leaves}
    found = {name: [t for t in tasks if t.startswith(leaves)] for name, leaves in parts.items()}
    return {name: own for name, own in found.items() if own}
