"""A suite of local folders that can be tuned: two models, sixty pairs, questions in MT-Bench's layout."""

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.mt_bench import judge_prompts
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder

SUITE: dict[str, Any] = {
    "name": "mine",
    "max_length": 64,
    "pairs": {"mine": {"teacher": {"base": "models/teacher"}, "student": {"base": "models/student"}}},
    "datasets": {"mine": {"preference": {"path": "data/pairs.jsonl"}}},
    "generation": {"max_tokens": 8},
    "training": {"lr": 1e-3, "epochs": 1, "batch_size": 8},
    "methods": {"SFT": {}, "DPO": {"beta": 0.1}},
    "benchmarks": {},
    "tuning": {
        "score": {"benchmark": "implicit-reward", "hold_out": 12},
        "trials": 2,
        "methods": {"DPO": {"lr": [1e-3, 1e-2], "beta": [0.1, 0.5]}},
    },
}
PROMPTS = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")


def questions(folder: Path, *texts: str) -> None:
    """A folder of MT-Bench's layout."""
    folder.mkdir(parents=True)
    asked = [{"question_id": i, "category": "stem", "turns": [text]} for i, text in enumerate(texts)]
    write_rows(folder / "question.jsonl", asked)
    judge_prompts.write(folder)
    write_rows(folder / "reference_answer_gpt-4.jsonl", [])


def make(folder: Path, suite: dict[str, Any] = SUITE) -> Path:
    """The models, the data and the suite's file, `mine.yaml`, below a folder."""
    for seed, who in enumerate(("teacher", "student")):
        tiny_folder(folder / "models" / who, seed=seed)
    words = [(v, w) for v in "abcdefghij" for w in "klmnop"]
    # Half of them want what the other half does not, so that no setting is right everywhere.
    sides = [("x y", "z"), ("z", "x y")]
    rows = [{"prompt": f"{v} {w}", "chosen": sides[i % 2][0], "rejected": sides[i % 2][1]}
            for i, (v, w) in enumerate(words)]  # fmt: skip
    (folder / "data").mkdir()
    write_rows(folder / "data" / "pairs.jsonl", rows)
    write_rows(
        folder / "data" / "others.jsonl", [{**row, "prompt": f"q {row['prompt']}"} for row in rows[:9]]
    )
    questions(folder / "data" / "test", "a k ?", "b l ?")
    questions(folder / "data" / "validation", "c k ?", "d l ?")
    (folder / "mine.yaml").write_text(json.dumps(suite))
    return folder
