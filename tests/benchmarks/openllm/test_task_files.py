"""The YAML of tasks in a folder of one's own: what lm-eval stumbles over is one line with the file."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.openllm import documents, tasks
from tests.paths import ROOT

TASK = (ROOT / "harness" / "pocket" / "data" / "pocket_facts.yaml").read_text()
ROW = {"context": "the food of the fox is", "choices": ["fish", "nuts"], "gold": 1}


def look(folder: Path, text: str) -> None:
    """At a task of this YAML, and at its one document."""
    (folder / "facts.yaml").write_text(text)
    (folder / "pocket_facts.jsonl").write_text(json.dumps(ROW) + "\n")
    tasks.check(["pocket_facts"], folder)
    documents.check(["pocket_facts"], folder, None, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TASK.replace("task: pocket_facts", "task: 3"), "facts.yaml: task: given 3; a name"),
        ("group: pocket_facts\ntask: [pocket_facts]\n", "pocket_facts: a group of itself"),
        (f"{TASK}fewshot_config: x\n", "facts.yaml: fewshot_config: given 'x'; a mapping"),
        (
            TASK.replace("output_type: multiple_choice", "output_type: nonsense"),
            "facts.yaml: pocket_facts: lm-eval cannot read it: Got invalid output_type",
        ),
    ],
)
def test_a_task_that_lm_eval_cannot_read_is_named_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        look(tmp_path, text)


def test_a_task_that_it_can_read_is_taken(tmp_path: Path) -> None:
    look(tmp_path, TASK)
