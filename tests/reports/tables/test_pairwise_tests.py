"""Which cells of a column stand out: only where the test against the next one stands."""

import numpy as np

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
    """Gaps of 1 and of 0.3 noise over 60 questions and 3 seeds: beyond chance; a gap of 0.01 is not."""
    for means, expected in (
        ({"A": 2.0, "B": 1.0, "C": 0.0}, {"A": "best", "B": "second", "C": ""}),
        ({"A": 1.01, "B": 1.0, "C": 0.0}, {"A": "", "B": "second", "C": ""}),
        ({"A": 1.0, "B": 0.01, "C": 0.0}, {"A": "best", "B": "", "C": ""}),
    ):
        assert marks(noisy(means, seeds=3), ["A", "B", "C"]) == expected


def test_of_one_run_a_method_nothing_is_marked_whatever_its_test_says():
    assert marks(noisy({"A": 2.0, "B": 1.0, "C": 0.0}), ["A", "B", "C"]) == dict.fromkeys("ABC", "")


def test_the_teacher_is_no_contestant():
    found = marks(noisy({"Teacher": 9.0, "A": 1.0, "B": 0.0}, seeds=3), ["Teacher", "A", "B"])
    assert found == {"Teacher": "", "A": "best", "B": ""}


def test_equal_methods_and_single_questions_are_never_marked():
    same = [record(m, str(q), float(q)) for m in "AB" for q in range(9)]
    assert set(marks(same, ["A", "B"]).values()) == {""}
    assert set(marks([record("A", "0", 1.0), record("B", "0", 0.0)], ["A", "B"]).values()) == {""}


def test_a_test_that_does_not_stand_among_all_pairs_marks_nothing():
    """A is above B at a p that stands alone, and not among the 10 pairs of five methods."""
    rng = np.random.default_rng(0)
    noise = {m: rng.normal(0, 1, 40) for m in "ABCDE"}
    noise = {m: (x - x.mean()) / x.std(ddof=1) for m, x in noise.items()}
    records = [
        record(m, str(q), float(v + (m == "A") * 0.52 + rng.normal(0, 0.1)), seed=seed)
        for m, x in noise.items()
        for q, v in enumerate(x)
        for seed in range(3)
    ]
    found = pairwise_tests.tested(columns.find(grouped(records))[0], "data", list("ABCDE"))
    assert found is not None and found.ps["A", "B"] < 0.05 < found.adjusted["A", "B"]
    assert marks([r for r in records if r.method in "AB"], ["A", "B"]) == {"A": "best", "B": ""}
    assert marks(records, list("ABCDE")) == dict.fromkeys("ABCDE", "")


def test_a_column_whose_highest_is_no_merit_has_no_marks():
    records = noisy({"A": 2.0, "B": 1.0}, benchmark="teacher-reward", metric="length")
    (slot,) = columns.find(grouped(records))
    assert pairwise_tests.mark(slot, "data", {"A": Cell(2.0), "B": Cell(1.0)})["A"].mark == ""
