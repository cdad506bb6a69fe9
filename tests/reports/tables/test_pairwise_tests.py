"""Which cells of a column stand out: only where the test against the next one stands."""

import numpy as np
import pytest

from reports.records.groups import grouped
from reports.records.rows import Record
from reports.statistics.bootstrap import Draw
from reports.tables import columns, pairwise_tests
from reports.tables.main import main_tables
from reports.tables.table import Cell
from tests.reports.tables.test_comparison import noisy, record

QUICK = Draw(resamples=200)


def marks(records: list[Record], methods: list[str]) -> dict[str, str]:
    (table,) = main_tables(records, methods, QUICK)
    return {row.method: row.cells[0].mark for row in table.rows}


def test_the_best_and_the_second_are_marked_where_their_tests_stand():
    """Gaps of 1 and of 0.3 noise over 60 questions: beyond chance; a gap of 0.01 is not."""
    assert marks(noisy({"A": 2.0, "B": 1.0, "C": 0.0}), ["A", "B", "C"]) == {
        "A": "best",
        "B": "second",
        "C": "",
    }
    assert marks(noisy({"A": 1.01, "B": 1.0, "C": 0.0}), ["A", "B", "C"]) == {"A": "", "B": "second", "C": ""}
    assert marks(noisy({"A": 1.0, "B": 0.01, "C": 0.0}), ["A", "B", "C"]) == {"A": "best", "B": "", "C": ""}


def test_the_teacher_is_no_contestant():
    found = marks(noisy({"Teacher": 9.0, "A": 1.0, "B": 0.0}), ["Teacher", "A", "B"])
    assert found == {"Teacher": "", "A": "best", "B": ""}


def test_equal_methods_and_single_questions_are_never_marked():
    same = [record(m, str(q), float(q)) for m in "AB" for q in range(9)]
    assert set(marks(same, ["A", "B"]).values()) == {""}
    assert set(marks([record("A", "0", 1.0), record("B", "0", 0.0)], ["A", "B"]).values()) == {""}


def test_a_test_that_holm_does_not_let_stand_marks_nothing():
    """p = 0.03 alone; of three pairs, with the others at 1, Holm makes it 0.09."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 30)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    shift = 2.28 / np.sqrt(30)  # t of 29 df at p = 0.03
    values = {"A": noise + shift, "B": 0 * noise, "C": 0 * noise}
    records = [record(m, str(q), float(v)) for m, x in values.items() for q, v in enumerate(x)]
    found = pairwise_tests.tested(columns.find(grouped(records))[0], "data", ["A", "B"])
    assert found is not None and found.ps["A", "B"] == pytest.approx(0.03, abs=0.001)
    assert marks([r for r in records if r.method != "C"], ["A", "B"]) == {"A": "best", "B": ""}
    assert marks(records, ["A", "B", "C"]) == {"A": "", "B": "", "C": ""}


def test_a_column_whose_highest_is_no_merit_has_no_marks():
    records = noisy({"A": 2.0, "B": 1.0}, benchmark="teacher-reward", metric="length")
    (slot,) = columns.find(grouped(records))
    assert pairwise_tests.mark(slot, "data", {"A": Cell(2.0), "B": Cell(1.0)})["A"].mark == ""
