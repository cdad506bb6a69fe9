"""Tasks of lm-eval as a folder of one's own holds them, and drawn rows for them."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = [f"w{n}" for n in range(40)]
MULTIPLE_CHOICE = """
task: choose
tag: pocket
dataset_path: json
dataset_kwargs: {data_files: {train: choose_train.jsonl, test: choose.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1.5}
"""
GENERATION = """
task: write
tag: pocket
dataset_path: json
dataset_kwargs: {data_files: {test: write.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["w1"], max_gen_toks: 3, do_sample: false}
filter_list:
  - {name: loose, filter: [{function: regex, regex_pattern: "(w\\\\d)"}, {function: take_first}]}
  - {name: strict-match, filter: [{function: remove_whitespace}, {function: take_first}]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 2}
"""


def text(draw: random.Random, least: int, most: int) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(least, most)))


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def choices(seed: int, n: int = 23) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "question": text(draw, 1, 9),
            "choices": [text(draw, 1, 4) for _ in range(4)],
            "gold": draw.randrange(4),
        }
        for _ in range(n)
    ]
