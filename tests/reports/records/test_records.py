"""Row files: what is written is read back, and a bad line is named."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from reports.records import run_folder
from reports.records.jsonl import read, write
from reports.records.rows import Cost, Record, Repeat, Training
from reports.records.run_folder import Rows

RECORD = Record(
    "pocket", "pocket", "pocket", "ADPA", 0, "mt-bench", "score", "math", "81", 1, "", "rule", "", 7.0,
    tokens=21, artifacts=("answers-0f3a", "judgments-77b1"),
)  # fmt: skip
COST = Cost("pocket", "pocket", "pocket", "ADPA", 0, 41.2, 1.2e12, 3.4e12, 204_800, 0.075, 2, 11, "cpu")
TRAINING = Training(
    "pocket", "pocket", "pocket", "ADPA", 0, 0.693, None, -3.1, 4.25, 0.98, 300, (("sft", 1.2, 0.93),),
    objective="reward", held_before=-0.5, held_after=None,
    watched=(("clipped", 0.01, 0.63),), warnings=("clipped: 63%, over 50%",),
)  # fmt: skip
REPEAT = Repeat(
    "pocket", "pocket", "pocket", "ADPA", 0, "mt-bench", "gpt-4", "", "score", "math", "81", 1, "",
    repeat=1, request="9f3a", value=7.0,
)  # fmt: skip


@pytest.mark.parametrize("row", [RECORD, COST, TRAINING, REPEAT])
def test_a_row_is_read_as_it_was_written(row, tmp_path: Path):
    rows = [replace(row, seed=seed, suite="caf\u00e9 \u2028") for seed in (1, 0)]
    write(rows, tmp_path / "rows.jsonl")
    assert read(tmp_path / "rows.jsonl", type(row)) == rows
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_worlds_are_rows_of_their_own_and_a_line_names_all_but_world_0(tmp_path: Path):
    path, rows = tmp_path / "rows.jsonl", [replace(RECORD, world_seed=world) for world in (0, 1)]
    write(rows, path)
    assert read(path, Record) == rows
    first, second = map(json.loads, path.read_text().splitlines())
    assert second == {**first, "world_seed": 1} and "world_seed" not in first


@pytest.mark.parametrize("row", [RECORD, COST, TRAINING, REPEAT])
def test_a_key_that_stands_twice_is_refused_and_the_old_file_stays(row, tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    write([row], path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="duplicate"):
        write([row, row], path)
    assert path.read_bytes() == before


def test_of_a_long_key_that_stands_twice_the_line_holds_the_beginning(tmp_path: Path):
    row = replace(RECORD, question="q" * 400)
    with pytest.raises(ValueError, match=r"^duplicate record: suite .* question qq") as refused:
        write([row, row], tmp_path / "rows.jsonl")
    assert len(str(refused.value)) < 250


BAD_LINES = {
    "half a line": '{"suite": "pock',
    "not an object": "[1]",
    "a field is missing": json.dumps({k: v for k, v in asdict(RECORD).items() if k != "judge"}),
    "a field too many": json.dumps({**asdict(RECORD), "colour": "red"}),
    "text for a number": json.dumps({**asdict(RECORD), "value": "7.0"}),
    "a bool for an int": json.dumps({**asdict(RECORD), "seed": True}),
    "not a number": json.dumps({**asdict(RECORD), "value": float("nan")}),
    "no value and no reason": json.dumps({**asdict(RECORD), "value": None}),
    "the same key again": json.dumps(asdict(RECORD)),
    "a benchmark that names no folder": json.dumps({**asdict(RECORD), "benchmark": "my bench\x1b[31m"}),
    "not UTF-8": "\udcff",
    "an empty line": "",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_refused_in_one_line_with_file_and_number(line: str, tmp_path: Path):
    path = tmp_path / "results.jsonl"
    write([RECORD], path)
    with path.open("a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(line + "\n")
    with pytest.raises(ValueError) as refused:
        read(path, Record)
    message = str(refused.value)
    assert message.startswith(f"{path}:2: ") and "\n" not in message


def test_an_integer_is_read_where_a_float_is_due(tmp_path: Path):
    write([replace(RECORD, value=7)], tmp_path / "results.jsonl")
    assert read(tmp_path / "results.jsonl", Record) == [RECORD]


@pytest.mark.parametrize(
    ("value", "status"),
    [(7.0, "unparsed"), (None, "ok"), (float("nan"), "ok"), (float("inf"), "ok"), (-1e152, "ok")],
)
def test_a_record_has_a_finite_value_or_a_reason(value: float | None, status: str):
    for row in (RECORD, REPEAT):
        with pytest.raises(ValueError):
            replace(row, value=value, status=status)


def test_repeats_have_a_file_where_there_are_any_and_none_of_an_earlier_run_stay(tmp_path: Path):
    run_folder.write(Rows(records=[RECORD]), tmp_path)
    assert not (tmp_path / "repeats.jsonl").exists()
    again = [REPEAT, replace(REPEAT, repeat=2, value=None, status="unparsed")]
    assert run_folder.write(Rows(records=[RECORD], repeats=again), tmp_path)
    assert run_folder.read(tmp_path).repeats == again
    assert run_folder.write(Rows(records=[RECORD]), tmp_path)
    assert run_folder.read(tmp_path).repeats == []


def test_a_training_number_that_is_not_finite_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError):
        write([replace(TRAINING, loss_after=float("nan"))], tmp_path / "training.jsonl")
    assert not list(tmp_path.iterdir())
