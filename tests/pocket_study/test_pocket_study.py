"""What the study says of single runs, by hand, and its page from a run's rows."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reports.records.groups import grouped
from reports.records.rows import Record
from reports.records.run_folder import Rows
from reports.tables import columns
from reports.tables.columns import MeasuredColumn
from tests.paths import ROOT
from tests.pocket_study.__main__ import blocks, of_plus
from tests.pocket_study.single_runs import agreement, leaders, means

BLANK = Record("pocket", "pocket", "pocket", "", 0, "mt-bench", "score", "", "", 1, "", "rule", "", 0.0)
# World -> seed -> mean of ADPA, DCKD and SFT: ADPA leads three of four runs, DCKD the last.
RUNS = {0: [(5.0, 4.0, 1.0), (5.0, 4.5, 1.0)], 1: [(6.0, 4.0, 1.0), (4.0, 4.5, 1.0)]}
METHODS = ("Teacher", "Student", "ADPA", "DCKD", "SFT")


def records() -> list[Record]:
    noise = np.random.default_rng(0).normal(0, 0.2, 20)
    return [
        replace(
            BLANK, method=method, seed=seed, world_seed=world, question=str(q), value=float(value + noise[q])
        )
        for world, seeds in RUNS.items()
        for seed, values in enumerate(seeds)
        for method, value in zip(METHODS, (9.0, 0.5, *values), strict=True)
        for q in range(20)
    ]


@pytest.fixture
def column() -> MeasuredColumn:
    (found,) = columns.find(grouped(records()))
    return found


def test_the_runs_of_a_column_are_those_that_every_method_has(column: MeasuredColumn) -> None:
    found = means(column, "pocket", ["ADPA", "SFT"])
    assert [(r.world, r.seed) for r in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    first = found[min(found)]
    assert first["ADPA"] - first["SFT"] == pytest.approx(4.0)


def test_a_single_runs_leader_is_counted_beside_that_of_all(column: MeasuredColumn) -> None:
    """Two base models say too little to tell ADPA from DCKD, so that each single leader may be the best."""
    found = leaders(column, "pocket", METHODS)
    assert (found.best, found.runs, found.same) == ("ADPA", 4, 3)
    assert found.not_worse == (4 if found.pairs < 3 else 3)


def test_the_agreement_is_kendalls_tau_by_base_model(column: MeasuredColumn) -> None:
    """ADPA's Table 1 has ADPA over DCKD over SFT over the Student: one run has one of six the other way."""
    found = agreement(column, "pocket", METHODS)
    assert found is not None and (found.tau, found.most, found.methods) == (1.0, 1.0, 4)
    assert found.least == pytest.approx(2 / 3)


def test_every_table_of_the_page_is_made_and_has_its_place() -> None:
    page = (ROOT / "docs" / "pocket-study.md").read_text()
    rows = Rows(records=records())
    other = Rows(records=[replace(r, method="ADPA+", value=5.0) for r in rows.records if r.method == "ADPA"])
    made = {name: list(lines) for name, lines in blocks(rows).items()}
    made["plus"] = list(of_plus({"lr-1e-4": other, "on-chosen": other}))
    assert list(made) == re.findall(r"<!-- (\w+):begin -->", page)
    assert all(made.values())
