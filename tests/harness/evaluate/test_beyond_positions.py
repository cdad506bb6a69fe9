"""Answers beyond the positions that a model was trained on are judged all the same, and the tables say so."""

import json
from pathlib import Path

import pytest

from harness.evaluate.judgments import BEYOND_POSITIONS
from tests.bench_command import bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.evaluate.test_thoughts import answered
from tests.harness.models.tiny_models import tiny_folder

PROMPT = 4  # tokens of the first turn: <user> a <end> <assistant>


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model")


def set_config(model: Path, **changes: object) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | changes))


def test_each_turn_says_whether_it_read_more_positions_than_were_trained(model: Path, tmp_path: Path) -> None:
    found = []
    for case, spare in enumerate((None, 0, -1)):
        if spare is not None:
            read = PROMPT + found[0]["tokens"][0] - 1  # the last token of an answer is never read
            set_config(model, max_position_embeddings=read + spare)
        (folder := tmp_path / str(case)).mkdir()
        found.append(answered(folder, model)[1])
    assert [answer.get("beyond") for answer in found] == [None, [False, True], [True, True]]
    assert all(answer["turns"] == found[0]["turns"] for answer in found)


def test_positions_that_a_factor_stretches_are_as_good_as_trained(model: Path, tmp_path: Path) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 4}
    set_config(model, max_position_embeddings=4, rope_parameters=rope)
    assert "beyond" not in answered(tmp_path, model)[1]


def test_the_table_counts_them(model: Path, tmp_path: Path) -> None:
    set_config(model, max_position_embeddings=5)
    write_rows(tmp_path / "gsm8k_test.jsonl", [{"question": "e f", "answer": "#### 1"} for _ in range(3)])
    asked = [f"--data=gsm8k-cot={tmp_path}", "--set=benchmarks.gsm8k-cot.max_tokens=6"]
    done = bench("eval", str(model), "--bench=gsm8k-cot", *asked, f"--runs={tmp_path}", "--name=e")
    assert done.returncode == 0, done.stderr
    assert f"3 of 3 {BEYOND_POSITIONS}" in (tmp_path / "e" / "tables" / "main.md").read_text()
