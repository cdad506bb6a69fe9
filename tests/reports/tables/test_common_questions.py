"""Marks, ranks, groups and differences: over what two rows share, and with its sign."""

from dataclasses import replace

import numpy as np
import pytest

from reports.records.rows import Record
from reports.statistics.bootstrap import Draw
from reports.tables.ablation import ablation_tables
from reports.tables.comparison import comparison_tables
from reports.tables.direction import direction_tables
from reports.tables.main import difference_tables, main_tables
from reports.tables.table import Cell
from tests.reports.tables.reading import cells, only

BLANK = Record("run", "run", "data", "", 0, "mt-bench", "score", "", "", 1, "", "rule", "", 0.0)
WIN_RATE = replace(BLANK, benchmark="alpaca-eval", metric="win_rate", reference="ADPA")
QUICK = Draw(resamples=300)
UNEVEN = "some rows lack verdicts; marks, ranks and differences are over what two rows share"


def rows(
    method: str, values: np.ndarray, lost: np.ndarray | None = None, blank: Record = BLANK
) -> list[Record]:
    """A record for each question; `lost` ones have no verdict."""
    found = [replace(blank, method=method, question=str(q), value=float(v)) for q, v in enumerate(values)]
    for q in () if lost is None else np.flatnonzero(lost):
        found[q] = replace(found[q], value=None, status="unparsed")
    return found


def dckd_and_adpa() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """400 ratings of each; ADPA is better by 0.8 on the same question, DCKD's 80 lowest could not be read."""
    rng = np.random.default_rng(0)
    adpa = rng.normal(6, 3, 400)
    dckd = adpa - 0.8 + rng.normal(0, 1, 400)
    return adpa, dckd, dckd <= np.sort(dckd)[79]


def test_the_worse_of_two_is_not_bold_though_its_mean_over_fewer_questions_is_higher():
    adpa, dckd, lost = dckd_and_adpa()
    records = rows("ADPA", adpa) + rows("DCKD", dckd, lost) + rows("SFT", adpa - 4)
    others = [(r, None if r.value is None else r.value + s / 100, s) for r in records for s in (1, 2)]
    records += [replace(r, value=value, seed=s) for r, value, s in others]
    methods = ["SFT", "ADPA", "DCKD"]
    main = only(main_tables(records, methods, QUICK))
    shown = cells(main, "MT-Bench")
    assert shown["DCKD"].value > shown["ADPA"].value
    assert {m: cell.mark for m, cell in shown.items()} == {"ADPA": "best", "DCKD": "second", "SFT": ""}
    assert f"MT-Bench: {UNEVEN}" in main.notes

    compared = only(comparison_tables(records, methods, "ADPA", QUICK))
    less = cells(compared, "less ADPA")["DCKD"]
    assert less.value == pytest.approx((dckd - adpa)[~lost].mean()) and less.high < 0
    ranks = cells(compared, "Rank")
    assert {m: (c.value, c.low, c.high) for m, c in ranks.items()} == {
        "ADPA": (1, 1, 1), "DCKD": (2, 2, 2), "SFT": (3, 3, 3),
    }  # fmt: skip
    assert {m: c.value for m, c in cells(compared, "Group").items()} == {"ADPA": "a", "DCKD": "b", "SFT": "c"}
    assert UNEVEN in compared.notes


def test_direction_comparison_and_differences_print_one_number():
    """The Student lacks the questions that DPO wins most clearly: by their own means DPO would be better."""
    rng = np.random.default_rng(1)
    student = rng.choice([0.0, 0.5, 1.0], 120)
    dpo = np.clip(student - 0.25, 0, 1)
    lost = student >= np.sort(student)[-30]
    records = rows("Student", student, lost, WIN_RATE) + rows("DPO", dpo, None, WIN_RATE)
    records += rows("Teacher", np.ones(120), rng.random(120) < 0.2, WIN_RATE)
    methods = ["Teacher", "Student", "DPO"]
    found = [
        cells(only(direction_tables(records, [], methods)), "WR less Student (%)"),
        cells(only(comparison_tables(records, methods, "Student")), "less Student"),
        cells(only(difference_tables(records, methods, "Student")), "AlpacaEval WR (%)"),
    ]
    expected = (dpo - student)[~lost].mean()
    assert dpo.mean() > student[~lost].mean() and expected < 0
    for shown in found:
        assert shown["DPO"].value == pytest.approx(expected)
    numbers = {(c.value, c.low, c.high, c.n) for c in (shown["DPO"] for shown in found)}
    assert len(numbers) == 1


def test_an_ablation_says_what_a_row_loses_on_the_questions_that_both_have():
    adpa, dckd, lost = dckd_and_adpa()
    names = ["ADPA", "ADPA w/o reference teacher"]
    records = rows(names[0], adpa) + rows(names[1], dckd, lost)
    (table,) = (t for t in ablation_tables(records, names, QUICK) if t.title.startswith("Ablation"))
    less = cells(table, "MT-Bench, less full method")
    assert less[names[1]].value == pytest.approx((dckd - adpa)[~lost].mean()) and less[names[1]].high < 0
    assert less["ADPA"].value is None

    whole = rows(names[0], adpa) + rows(names[1], dckd)
    (table,) = (t for t in ablation_tables(whole, names, QUICK) if t.title.startswith("Ablation"))
    assert [c.title for c in table.columns if "less" in c.title] == []


@pytest.mark.parametrize("seed", range(8))
def test_what_is_bold_is_above_every_other_row_in_its_comparison(seed: int):
    rng = np.random.default_rng(seed)
    shared, methods = rng.normal(0, 1, 60), list("ABCDE")
    records = []
    for k, m in enumerate(methods):
        values = shared + 0.15 * k + rng.normal(0, 0.3, 60)
        # What is lost depends on the question, so that means mislead.
        records += rows(m, values, rng.random(60) < rng.choice([0.0, 0.4]) * (shared < 0))
    marks = {
        m: cell.mark for m, cell in cells(only(main_tables(records, methods, QUICK)), "MT-Bench").items()
    }
    for best in (m for m, mark in marks.items() if mark == "best"):
        table = only(comparison_tables(records, methods, best, QUICK))
        assert all(c.value < 0 for m, c in cells(table, f"less {best}").items() if m != best)
        assert cells(table, "Rank")[best].value == 1.0


def test_rows_that_share_no_question_are_not_ranked_above_each_other():
    values = np.arange(20.0)
    records = rows("A", values, values < 10) + rows("B", values, values >= 10)
    table = only(comparison_tables(records, ["A", "B"], "A", QUICK))
    assert {m: c.value for m, c in cells(table, "Rank").items()} == {"A": 1.5, "B": 1.5}
    assert cells(table, "less A")["B"] == Cell()
    assert {c.mark for c in cells(only(main_tables(records, ["A", "B"], QUICK)), "MT-Bench").values()} == {""}
