"""A row's export, read by lm-eval's own utilities: its numbers are those of lm-eval's functions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.openllm import samples

ASKED = {"limit": None, "batch_size": 8, "chat": False, "template": None, "num_fewshot": None}
VALUES = {
    "arc_challenge": [1.0, 0.0, 1.0, 1.0, 0.0],
    "mmlu_anatomy": [1.0, 0.0, 0.0],
    "mmlu_virology": [1.0, 1.0, 0.0, 1.0, 1.0],
    "gsm8k": [0.0, 1.0],
    "leaderboard_ifeval": [1.0, 0.0, 1.0],
}
METRIC = {
    "arc_challenge": "acc_norm",
    "gsm8k": "exact_match",
    "leaderboard_ifeval": "prompt_level_strict_acc",
}
FOLLOWED = [[True, True], [True, False, False], [True]]


def metrics(task: str, number: int) -> dict[str, Any]:
    more = {"inst_level_strict_acc": FOLLOWED[number]} if task == "leaderboard_ifeval" else {}
    return {METRIC.get(task, "acc"): VALUES[task][number], **more}


@pytest.fixture
def row(tmp_path: Path) -> Path:
    """The export of a row called ADPA."""
    results, details = [], []
    for task, values in VALUES.items():
        for number, value in enumerate(values):
            document = f"{number}-5d1f30a7"
            about = {"version": "1.0", "num_fewshot": 5, "metric": METRIC.get(task, "acc")}
            results.append({"task": task, "document": document, "value": value, **about})
            said = {"loglikelihoods": [-1.0, -2.0], "greedy": [True, False], "target": 1}
            details.append({"task": task, "document": document, **said, "metrics": metrics(task, number)})
    samples.write(tmp_path / "ADPA", results, details, ASKED, datetime(2026, 11, 28, 22, 40, 15, tzinfo=UTC))
    return tmp_path / "ADPA"


def test_lm_eval_finds_the_files_and_reads_their_names(row: Path) -> None:
    from lm_eval import utils

    names = [str(path) for path in row.iterdir()]
    (found,) = utils.get_results_filenames(names)
    assert utils.get_latest_filename([found]).endswith("/results_2026-11-28T22-40-15.json")
    of_samples = [Path(name).name for name in utils.get_sample_results_filenames(names)]
    assert {utils.get_file_task_name(name) for name in of_samples} == set(VALUES)
    assert {utils.get_file_datetime(name) for name in of_samples} == {"2026-11-28T22-40-15"}


def test_the_numbers_are_those_of_lm_evals_functions(row: Path) -> None:
    from lm_eval.api.metrics import aggregate_subtask_metrics, mean, mean_stderr, pooled_sample_stderr
    from lm_eval.utils import make_table

    held = json.loads(next(row.glob("results_*.json")).read_text())
    for task, values in VALUES.items():
        name = f"{METRIC.get(task, 'acc')}"
        reading = "strict-match" if task == "gsm8k" else "none"
        assert held["results"][task][f"{name},{reading}"] == pytest.approx(mean(values))
        assert held["results"][task][f"{name}_stderr,{reading}"] == pytest.approx(mean_stderr(values))
        assert held["n-samples"][task] == {"original": len(values), "effective": len(values)}
    ifeval = held["results"]["leaderboard_ifeval"]
    assert ifeval["inst_level_strict_acc,none"] == 4 / 6
    assert ifeval["inst_level_strict_acc_stderr,none"] == "N/A"
    parts = [VALUES["mmlu_anatomy"], VALUES["mmlu_virology"]]
    sizes = [len(part) for part in parts]
    group = held["groups"]["mmlu"]
    assert group["acc,none"] == pytest.approx(aggregate_subtask_metrics([mean(p) for p in parts], sizes))
    errors = [mean_stderr(part) for part in parts]
    assert group["acc_stderr,none"] == pytest.approx(pooled_sample_stderr(errors, sizes))
    assert held["group_subtasks"] == {"mmlu": ["mmlu_anatomy", "mmlu_virology"]}
    table = make_table(held)
    assert "|arc_challenge" in table and "|0.6000|±  |0.2449|" in table
    assert "mmlu" in make_table(held, "groups")


def test_of_a_limit_the_whole_number_of_documents_is_not_known(tmp_path: Path) -> None:
    about = {"version": "1.0", "num_fewshot": 0, "metric": "acc", "value": 1.0}
    key = {"task": "winogrande", "document": "0-5d1f30a7"}
    said = {"loglikelihoods": [-1.0], "greedy": [True], "target": 0, "metrics": {"acc": 1.0}}
    asked = {**ASKED, "limit": 1}
    samples.write(tmp_path, [key | about], [key | said], asked, datetime(2026, 1, 1, tzinfo=UTC))
    held = json.loads(next(tmp_path.glob("results_*.json")).read_text())
    assert held["n-samples"] == {"winogrande": {"original": None, "effective": 1}}
    assert held["results"]["winogrande"]["acc_stderr,none"] == "N/A"
