"""Documents and scores of lm-eval's tasks in the files that lm-eval itself writes of them.

    <row>/samples_arc_challenge_2026-11-28T22-40-15.jsonl
        {"doc_id": 12, "doc_hash": "5d1f30a7", "target": 2, "filter": "none", "resps": [[[-3.1, false]], ...],
         "metrics": ["acc_norm", "acc"], "acc_norm": 1.0, "acc": 0.0}
    <row>/results_2026-11-28T22-40-15.json      as results_file.py has it

The date is when the row was measured, and the first of `metrics` the one that the task is scored by. What was
asked is not in them: the data are not ours to copy.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.json_files import Row, write_lines
from benchmarks.openllm import results_file


def write(folder: Path, results: Sequence[Row], details: Sequence[Row], asked: Row, made: datetime) -> None:
    """Write the files of one row; `results` and `details` are those of its step, document by document, and
    `asked` is what that was set to.
    """
    told = {(row["task"], row["document"]): row for row in details}
    tasks: dict[str, list[Row]] = defaultdict(list)
    for row in results:
        tasks[row["task"]].append(_sample(row, told[row["task"], row["document"]]))
    date = made.strftime("%Y-%m-%dT%H-%M-%S")
    for task, samples in tasks.items():
        write_lines(folder / f"samples_{task}_{date}.jsonl", samples)
    about = {row["task"]: row for row in results}
    whole = {**results_file.results(folder.name, tasks, about, asked), "date": made.timestamp()}
    (folder / f"results_{date}.json").write_text(json.dumps(whole, indent=1))


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
        "filter": results_file.filter_of(row["task"]),
        "resps": [[reply] for reply in replies],
        "metrics": names,
    } | {name: metrics[name] for name in names}
