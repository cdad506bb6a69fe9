"""Where the rows of an lm-eval task are, when they are in local files.

A task is extended, not rewritten: a YAML file of a few lines includes the task's own and names
`read_splits` as its data set. The rows are held in memory, past the cache of `datasets`.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

# Hub dataset, configuration -> split -> a .jsonl, .jsonl.gz or .json file in `data`. "*": one file holds all
# configurations, and each row names its own as "subject".
LOCAL: dict[tuple[str, str | None], dict[str, str]] = {
    ("allenai/ai2_arc", "ARC-Challenge"): {
        "train": "arc_challenge_train",
        "validation": "arc_challenge_validation",
        "test": "arc_challenge_test",
    },
    ("Rowan/hellaswag", None): {"train": "hellaswag_train", "validation": "hellaswag_validation"},
    ("allenai/winogrande", "winogrande_xl"): {
        "train": "winogrande_xl_train",
        "validation": "winogrande_xl_validation",
    },
    ("openai/gsm8k", "main"): {"train": "gsm8k_train", "test": "gsm8k_test"},
    ("cais/mmlu", "*"): {"dev": "mmlu_dev", "validation": "mmlu_validation", "test": "mmlu_test"},
    ("truthfulqa/truthful_qa", "multiple_choice"): {"validation": "truthfulqa_mc_task_v1_817"},
}


def extension(task: Mapping[str, Any], path: Path, data: Path | None) -> str:
    """YAML that includes the task of `path`, its rows read from local files if they are there."""
    lines: dict[str, str | None] = {"include": str(path.resolve())}
    kwargs = task.get("dataset_kwargs") or {}
    dataset, config = task.get("dataset_path"), task.get("dataset_name")
    if dataset == "json" and set(kwargs) == {"data_files"}:
        reads: dict[str, Any] = {"data_files": _beside(path, kwargs["data_files"])}
    elif data and (files := LOCAL.get((str(dataset), config)) or LOCAL.get((str(dataset), "*"))):
        found = {split: _find(data, name) for split, name in files.items()}
        evaluated = task.get("test_split") or task.get("validation_split")
        absent = [split for split, file in found.items() if not file.exists() and split != evaluated]
        keys = ("training_split", "validation_split", "fewshot_split")
        lines |= {key: None for key in keys if task.get(key) in absent}
        reads = {"data_files": {split: [str(file)] for split, file in found.items() if split not in absent}}
        reads |= {"subject": config} if (str(dataset), "*") in LOCAL else {}
    else:
        reads = {}
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())  # JSON is YAML
    if reads:
        text += f"custom_dataset: !function {__name__}.read_splits\ndataset_kwargs: {json.dumps(reads)}\n"
    return text


def _beside(path: Path, data_files: Any) -> dict[str, list[str]]:
    """Split -> paths, from any form of `datasets`: a name, a list of names, or either for each split."""
    splits = data_files if isinstance(data_files, dict) else {"train": data_files}
    names = {split: [given] if isinstance(given, str) else given for split, given in splits.items()}
    return {split: [str(path.resolve().parent / name) for name in given] for split, given in names.items()}


def _find(data: Path, name: str) -> Path:
    files = [data.resolve() / f"{name}{suffix}" for suffix in (".jsonl", ".jsonl.gz", ".json")]
    return next((file for file in files if file.exists()), files[0])


def _rows(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    return _parsed(gzip.decompress(raw) if path.suffix == ".gz" else raw, ".jsonl" in path.suffixes)


@lru_cache(maxsize=8)  # MMLU's 57 subjects share three files; the content is the key, so nothing is stale
def _parsed(content: bytes, lines: bool) -> list[dict[str, Any]]:
    rows = (
        [json.loads(line) for line in content.split(b"\n") if line.strip()] if lines else json.loads(content)
    )
    return [_choices_and_labels(row) for row in rows]


def _choices_and_labels(row: dict[str, Any]) -> dict[str, Any]:
    """TruthfulQA's {answer: label} in the layout of the hub; other rows as they are."""
    keys = [key for key in ("mc1_targets", "mc2_targets") if key in row and "choices" not in row[key]]
    targets = {key: row[key] for key in keys}
    return row | {key: {"choices": list(t), "labels": list(t.values())} for key, t in targets.items()}


def read_splits(data_files: Mapping[str, Sequence[str]], subject: str | None = None, **metadata: Any) -> Any:
    """A DatasetDict of local rows; lm-eval passes a task's dataset_kwargs and, unasked, its metadata."""
    from datasets import Dataset, DatasetDict  # imports pyarrow and pandas

    splits = {}
    for split, paths in data_files.items():
        rows = [row for path in paths for row in _rows(Path(path))]
        rows = [row for row in rows if subject in (None, row.get("subject"))]
        columns = {key: None for row in rows for key in row}
        splits[split] = Dataset.from_dict({key: [row.get(key) for row in rows] for key in columns})
    return DatasetDict(splits)
