"""A run's results as a data set hold what its files hold."""

import json
from pathlib import Path

import pytest
from datasets import get_dataset_config_names, load_dataset

from harness.results.hub import dataset_folder
from reports import results
from reports.records import run_folder
from tests.reports.page import page_run

FILES = {"records": "results", "summaries": "summaries", "costs": "costs", "training": "training"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    run_folder.write(page_run.rows(), tmp_path / "toy")
    dataset_folder.write(tmp_path / "toy", tmp_path / "out")
    return tmp_path


def test_every_kind_of_row_is_a_configuration_with_the_rows_of_its_file(written: Path) -> None:
    out, cache = str(written / "out"), str(written / "cache")
    assert set(get_dataset_config_names(out)) == {*FILES, "tables"}
    for name, file in FILES.items():
        rows = load_dataset(out, name, split="train", cache_dir=cache).to_list()
        lines = [json.loads(line) for line in (written / "toy" / f"{file}.jsonl").read_text().splitlines()]
        for row, line in zip(rows, lines, strict=True):
            # Lists of terms are JSON; a field that a line leaves out has its default.
            told = {n: json.loads(v) if n in ("terms", "watched") else v for n, v in row.items()}
            assert {n: told[n] for n in line} == line


def test_tables_are_those_of_a_notebook_and_the_card_has_the_verdict(written: Path) -> None:
    cells = load_dataset(str(written / "out"), "tables", split="train", cache_dir=str(written / "cache"))
    main = results(written / "toy").tables()["main"]
    found = [c for c in cells.to_list() if c["name"] == "main"]
    assert [c["value"] for c in found] == [v if v == v else None for v in main.value]
    card = (written / "out" / "README.md").read_text()
    assert results(written / "toy").verdict()[0].splitlines()[0] in card
    with pytest.raises(ValueError, match="exists"):
        dataset_folder.write(written / "toy", written / "out")
