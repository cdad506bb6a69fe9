"""Data files that are damaged or of another layout: one line with the file and the place."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.gsm8k import benchmark as gsm8k_cot
from benchmarks.json_files import json_lines, text_of
from benchmarks.judge_check import benchmark as judge_check
from benchmarks.mt_bench import benchmark as mt_bench

LOADERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "mt-bench": (mt_bench.load, "question.jsonl"),
    "arena-hard": (arena_hard.load, "question_v0.1.jsonl"),
    "gsm8k": (gsm8k_cot.load, "gsm8k_test.jsonl"),
    "alpaca-eval": (alpaca_eval.load, "questions.json"),
    "gold": (judge_check.load_gold, "Natural.json"),
}


@pytest.mark.parametrize(("load", "name"), LOADERS.values(), ids=LOADERS)
def test_a_file_that_ends_in_the_middle_is_named(
    load: Callable[[Path], object], name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text('[{"instruction": "a' if name.endswith(".json") else '{"question": "a')
    with pytest.raises(ValueError, match=rf"{name}, line 1: not JSON"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("load", "name", "lacks"),
    [
        (mt_bench.load, "question.jsonl", "FastChat's format, without question_id, turns"),
        (arena_hard.load, "question_v0.1.jsonl", "Arena-Hard's format, without category"),
        (gsm8k_cot.load, "gsm8k_test.jsonl", "GSM8K's format, without question, answer"),
    ],
)
def test_a_row_without_its_fields_is_named(
    load: Callable[[Path], object], name: str, lacks: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(json.dumps({"id": 1}) + "\n")
    with pytest.raises(ValueError, match=rf"{name}, line 1: not {lacks}"):
        load(tmp_path)


@pytest.mark.parametrize("content", [gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], b"no archive", b""])
def test_an_archive_that_is_cut_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(content)
    if content:
        with pytest.raises(ValueError, match=r"rows\.jsonl.gz: cannot be unpacked"):
            list(json_lines(path))
    else:
        assert not list(json_lines(path))


def test_what_is_no_text_and_what_is_no_object_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"rows\.jsonl: not UTF-8 at byte 1"):
        text_of(path)
    path.write_text('{"a": "\u2028"}\n\n[1]\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 3: not JSON lines, no JSON object"):
        list(json_lines(path))
