"""AlpacaEval's references: upstream's texts are taken, wherever they lie, and others are refused."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpaca_eval import files, reference
from benchmarks.alpaca_eval.declaration import ONE, TWO
from benchmarks.declaration import BASELINE
from benchmarks.json_files import json_list
from harness.evaluate import benchmark_files, questions
from tests.benchmarks.alpaca_eval.published import annotations

MODEL = "ae1_gpt4/alpaca-7b"


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    """The published outputs; those of text_davinci_003 are not what AlpacaEval 1 compares with."""
    shutil.copytree(
        shared_data / "alpaca_eval/model_outputs",
        tmp_path / "data/model_outputs",
        copy_function=shutil.copyfile,
    )
    (tmp_path / "data/model_outputs").chmod(0o755)
    return tmp_path / "data"


def reference_rows(shared_data: Path) -> list[dict[str, Any]]:
    return [
        {"dataset": r["dataset"], "instruction": r["instruction"], "output": r["output_1"], "generator": "g"}
        for r in annotations(shared_data, MODEL)
    ]


def stored(benchmark: Any, folder: Path) -> dict[str, str]:
    """Instruction -> what the baseline answers."""
    questions, _ = benchmark.load(folder, benchmark.settings())
    answers = benchmark.stored(folder, benchmark.settings(), BASELINE)
    return {q.turns[0]: answers[q.id].turns[0] for q in questions}


def test_the_answers_of_the_published_annotations_are_the_reference(
    shared_data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = reference_rows(shared_data)
    texts = {r["instruction"]: r["output"] for r in rows}
    for place in ("alpaca_eval", "model_outputs/text_davinci_003"):
        path = folder / f"{place}.json.gz"
        with gzip.open(path, "wt") as file:
            json.dump(rows[::-1], file)  # as they are in upstream's, or in another order
        assert stored(ONE, folder) == texts
        if place == "alpaca_eval":
            monkeypatch.setenv("BENCH_DATA", str(tmp_path / "home"))
            assert "alpaca_eval.json" not in (added := benchmark_files.add("alpaca-eval", folder)).other
            assert "alpaca_eval.json" not in added.missing
            path.unlink()


def test_other_answers_of_that_model_are_refused_with_the_address_of_the_right_ones(folder: Path) -> None:
    with pytest.raises(ValueError) as caught:
        stored(ONE, folder)
    message = str(caught.value)
    assert message.startswith(
        f"{folder}/model_outputs/text_davinci_003.json.gz: not the answers of text_davinci_003"
    )
    assert "https://huggingface.co/datasets/tatsu-lab/alpaca_eval/resolve/" in message
    assert "The address could not be tried" in message and "\n" not in message


def test_one_changed_answer_is_no_reference(folder: Path) -> None:
    path = folder / "model_outputs/gpt4_1106_preview.json.gz"
    assert len(stored(TWO, folder)) == 805
    rows = json.loads(gzip.decompress(path.read_bytes()))
    rows[7]["output"] += " "
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    with pytest.raises(ValueError, match=r"not the answers of gpt4_1106_preview .* Put model_outputs/gpt4"):
        stored(TWO, folder)


def test_a_part_of_the_805_is_no_reference(shared_data: Path, tmp_path: Path) -> None:
    """Whatever the answers are: nobody could tell the number from one of AlpacaEval's."""
    rows = reference_rows(shared_data)
    trimmed = [row | {"instruction": row["instruction"].strip() + " "} for row in rows]
    own = {"instruction": "say a", "output": "b"}
    path = tmp_path / "alpaca_eval.json"
    for part, told in (
        (rows[:804], "804 rows with 804 of its 805 instructions"),
        ([own, rows[5]], "2 rows with 1 of its 805 instructions"),
        ([*rows, own], "806 rows with 805 of its 805 instructions"),
        (trimmed, "805 rows with 805 of its 805 instructions"),
    ):
        path.write_text(json.dumps(part))
        with pytest.raises(ValueError, match=told) as caught:
            stored(ONE, tmp_path)
        message = str(caught.value)
        assert message.startswith(str(path)) and "\n" not in message
        assert "`limit` asks fewer of its questions" in message and "reference: x" in message


def test_a_limit_asks_some_questions_of_a_whole_reference(shared_data: Path, tmp_path: Path) -> None:
    rows = reference_rows(shared_data)
    (tmp_path / "alpaca_eval.json").write_text(json.dumps(rows))
    asked, _ = questions.load(ONE, tmp_path, {"limit": 3})
    answers = questions.stored(ONE, tmp_path, {"limit": 3}, BASELINE, asked)
    assert [a.turns[0] for a in answers] == [row["output"] for row in rows[:3]]


def test_a_part_of_the_805_under_another_name_may_be_compared_with(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "model_outputs").mkdir()
    rows = reference_rows(shared_data)[:3]
    for place in ("questions", "model_outputs/x"):
        (tmp_path / f"{place}.json").write_text(json.dumps(rows))
    assert len(ONE.stored(tmp_path, ONE.settings(), "x") or ()) == 3


def test_a_reference_is_parsed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(files, "json_list", lambda path, *of: read.append(path) or json_list(path, *of))
    asked, _ = TWO.load(folder, TWO.settings())
    del read[:]
    reference.read(folder, "gpt4_1106_preview", asked, TWO.data_set)
    assert read == [folder / "model_outputs/gpt4_1106_preview.json.gz"]


def test_questions_of_ones_own_have_a_reference_of_ones_own(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "b"}]
    (tmp_path / "model_outputs").mkdir()
    (tmp_path / "model_outputs/text_davinci_003.json").write_text(json.dumps(rows))
    (tmp_path / "alpaca_eval.json").write_text(json.dumps([{"instruction": "a"}]))
    assert stored(ONE, tmp_path) == {"a": "b"}


def test_a_hash_of_rows_does_not_know_a_torn_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "home"))
    for content in ('[{"instruction": "a", "outp', "{}", "[1]"):
        (folder / "alpaca_eval.json").write_text(content)
        assert "alpaca_eval.json" in benchmark_files.add("alpaca-eval", folder).other
