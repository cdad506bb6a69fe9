"""docs/data-formats.md: every layout has a row, which the code that reads such files reads."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.alpaca_eval.files import read_questions
from benchmarks.mt_bench import benchmark as mt_bench
from harness.data.datasets import Source, load_dialogues, load_pairs
from harness.data.layouts import DIALOGUES, PAIRS
from reports.records import jsonl
from reports.records.rows import Record
from tests.benchmarks.mt_bench import judge_prompts
from tests.docs.pages import page

SAMPLE = re.compile(r"^### ([^\n]+)\n(?:(?!```|^#).)*?```json\n(.*?)```", re.M | re.S)
SAMPLES: dict[str, str] = dict(SAMPLE.findall(page("docs/data-formats.md")))
ANSWERS = {("Hello!", "What?"), ("Red.", "Monday.")}


def file(folder: Path, name: str, sample: str) -> Path:
    (folder / name).write_text(SAMPLES[sample])
    return folder / name


@pytest.mark.parametrize("layout", [layout.name for layout in PAIRS])
def test_a_pair_of_each_layout_is_read(layout: str, tmp_path: Path) -> None:
    path = file(tmp_path, "pairs.jsonl", layout)
    for named in ("auto", layout):
        loaded = load_pairs(Source(str(path), layout=named))
        assert not loaded.dropped
        assert {(pair.chosen, pair.rejected) for pair in loaded.rows} <= ANSWERS


@pytest.mark.parametrize("layout", [layout.name for layout in DIALOGUES])
def test_a_dialogue_of_each_layout_is_read(layout: str, tmp_path: Path) -> None:
    sample = f"{layout} dialogues" if f"{layout} dialogues" in SAMPLES else layout
    (read,) = load_dialogues(Source(str(file(tmp_path, "rows.jsonl", sample)), layout=layout)).rows
    assert [turn["role"] for turn in read.messages] == ["user", "assistant"]
    assert read.messages[-1]["content"] in ("Hello!", "Red.")


def test_questions_are_read(tmp_path: Path) -> None:
    judge_prompts.write(tmp_path)
    file(tmp_path, "question.jsonl", "MT-Bench's")
    (question,), _ = mt_bench.load(tmp_path)
    assert question.turns == ("Write a line about rain.", "Now a shorter one.")
    (tmp_path / "questions.json").write_text(json.dumps([json.loads(SAMPLES["AlpacaEval's"])]))
    (question,) = read_questions(tmp_path, ())
    assert (question.id, question.turns) == ("colour", ("Name a primary colour.",))


def test_a_record_is_read(tmp_path: Path) -> None:
    (record,) = jsonl.read(file(tmp_path, "results.jsonl", "results.jsonl"), Record)
    assert (record.benchmark, record.value, record.status) == ("mt-bench", 7.0, "ok")


@pytest.mark.parametrize(("name", "kind"), [("answers.jsonl", "answers"), ("judgments.jsonl", "judgments")])
def test_answers_and_judgments_have_the_fields_of_a_runs(name: str, kind: str, tiny_run: Path) -> None:
    step = next(path for path in (tiny_run / "store" / kind).iterdir() if "mt-bench" in path.name)
    assert json.loads(SAMPLES[name]).keys() == json.loads((step / name).read_text().splitlines()[0]).keys()
