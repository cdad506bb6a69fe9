"""A run's results as pandas has them, held against its files."""

import csv
from pathlib import Path

import pytest

from reports import results


def test_what_a_notebook_reads_is_what_the_files_hold(tiny_run: Path) -> None:
    run = results(tiny_run / "tiny")
    assert len(run.records) == len((tiny_run / "tiny" / "results.jsonl").read_text().splitlines())
    main = run.tables()["main"]
    with (tiny_run / "tiny" / "tables" / "main.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert list(main.value.dropna()) == [float(cell["value"]) for cell in cells if cell["value"]]
    assert list(main.column) == [cell["column"] for cell in cells]
    assert run.verdict()[0].startswith("One run a method: ")
    less = run.compare("DPO").set_index(["column", "method"])
    assert {"mean", "less", "less_low", "less_high", "p", "p_adjusted", "rank", "group"} <= set(less.columns)
    row = less.loc[("mt-bench.score", "ADPA")]
    means = main.set_index(["column", "method"]).value
    assert row["less"] == means["mt-bench.score", "ADPA"] - means["mt-bench.score", "DPO"]


def test_what_is_no_run_or_no_row_is_one_line(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run"):
        results(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'DPO'"):
        results(tiny_run / "tiny").compare("DPOO")
