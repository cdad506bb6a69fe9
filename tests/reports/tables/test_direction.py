"""The direction table: did a method improve its own objective, and is its win rate on the paper's side."""

import random
from dataclasses import replace

import pytest

from reports.records.rows import Record, Training
from reports.render import to_markdown
from reports.statistics.bootstrap import Draw
from reports.tables.direction import direction_tables
from reports.tables.table import Cell, Table
from tests.reports.tables.reading import only

QUICK = Draw(resamples=200)
BLANK = Record(
    "pocket", "pocket", "pocket", "", 0, "alpaca-eval", "win_rate", "", "0", 1, "", "rule", "ADPA", 0.5
)
TRAINING = Training("pocket", "pocket", "pocket", "DPO", 0, 0.7, 0.5, None, None, 0.5, 300)
METHODS = ["Teacher", "Student", "DPO", "SimPO", "WPO", "PAD"]


def wins(method: str, *values: float, **fields) -> list[Record]:
    row = replace(BLANK, method=method, **fields)
    return [replace(row, question=str(q), value=v) for q, v in enumerate(values)]


def held(method: str, before: float | None, after: float | None, **fields) -> Training:
    return replace(TRAINING, method=method, held_before=before, held_after=after, **fields)


def shown(table: Table, method: str) -> dict[str, Cell]:
    (row,) = (r for r in table.rows if r.method == method)
    return {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def rows() -> tuple[list[Record], list[Training]]:
    records = [
        *wins("Teacher", 1.0, 1.0, 1.0, 1.0),
        *wins("Student", 0.0, 0.5, 0.0, 0.5),
        *wins("DPO", 0.5, 1.0, 0.5, 1.0),
        *wins("SimPO", 0.25, 0.75, 0.25, 0.75),
        *wins("WPO", 1.0, 0.5, 0.0, 0.0),
        *wins("PAD", 0.0, 0.0, 0.0, 0.0),
    ]
    training = [
        held("DPO", 0.693, 0.512),
        held("SimPO", 1.0, 1.25),
        held("WPO", -0.5, 0.25, objective="reward"),
        held("PAD", None, None),
    ]
    return records, training


GOLDEN = """\
### Direction: pocket

| Method | Held out before | Held out after | Right way | WR less Student (%) (n=4) \
| paper WR less Student (%) | Verdict |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| DPO | 0.693 | 0.512 | yes | 50.0 [50.0, 50.0] | 8.1 | as the paper |
| SimPO | 1.000 | 1.250 | NO | 25.0 [25.0, 25.0] | -3.8 | not as the paper |
| WPO | -0.500 | 0.250<sup>1</sup> | yes | 12.5 [-37.5, 75.0] | 14.3 | cannot be told |
| PAD | -<sup>2</sup> | -<sup>2</sup> | - | -25.0 [-50.0, 0.0] | - | - |

- held out: the method's loss on held-out prompts, or the mean named in a footnote, which it raises
- WR: judge rule, reference ADPA
- intervals: 95 % bootstrap over questions, B = 5,000, seed 0, paired; conditional on this checkpoint
- paper: ADPA's main table, DPO-MIX-7K, WR against ADPA; another judge, other models
- as the paper: the same sign, and our interval excludes 0; cannot be told: it holds 0
- <sup>1</sup> held out: the mean reward, which the method raises
- <sup>2</sup> no value in 1 of 1 seeds
"""


def test_objective_and_win_rate_stand_beside_the_papers():
    """WR less Student, paired: DPO is 1/2 above on each question and SimPO 1/4, so neither has a width.

    Paper, less the Student's 25.1: DPO 33.2, SimPO 21.3, WPO 39.4. WPO: (1 + 0 + 0 - 1/2) / 4 = 1/8. PAD:
    -(1/2 + 1/2) / 4 = -1/4, its interval ends at 0, but the paper has no such row.
    """
    assert to_markdown(only(direction_tables(*rows(), METHODS))) == GOLDEN


def test_the_order_of_rows_does_not_matter():
    records, training = rows()
    random.Random(0).shuffle(records)
    random.Random(1).shuffle(training)
    assert to_markdown(only(direction_tables(records, training, METHODS))) == GOLDEN


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1.0, 1.0, 1.0), "as the paper"),
        ((0.25, 0.25, 0.25), "not as the paper"),
        ((0.5, 0.5, 0.5), "cannot be told"),
        ((1.0, 0.0, 0.5), "cannot be told"),
    ],
)
def test_a_verdict_needs_an_interval_without_0(values: tuple[float, ...], verdict: str):
    """The Student has 1/2 on each question; the paper's DPO is above its Student."""
    records = wins("Student", 0.5, 0.5, 0.5) + wins("DPO", *values)
    assert shown(only(direction_tables(records, [], METHODS)), "DPO")["verdict"].value == verdict


def test_one_question_tells_nothing():
    table = only(direction_tables(wins("Student", 0.0) + wins("DPO", 1.0), [], METHODS, QUICK))
    assert shown(table, "DPO")["verdict"].value == "cannot be told"


@pytest.mark.parametrize(
    ("objective", "before", "after", "right"),
    [
        ("loss", 1.0, 0.5, "yes"), ("loss", 1.0, 1.5, "NO"), ("loss", 1.0, 1.0, "NO"),
        ("reward", 1.0, 1.5, "yes"), ("reward", 1.0, 0.5, "NO"), ("reward", 1.0, 1.0, "NO"),
        ("loss", 1.0, None, None),
    ],
)  # fmt: skip
def test_a_loss_should_fall_and_a_named_mean_rise(
    objective: str, before: float, after: float | None, right: str | None
):
    training = [held("DPO", before, after, objective=objective), held("SimPO", 1.0, 0.5)]
    table = only(direction_tables([], training, METHODS))
    assert shown(table, "DPO")["right_way"].value == right


def test_an_objective_is_compared_over_the_seeds_that_have_both_ends():
    """Seed 0 falls by 1; the mean before is (2 + 8) / 2 = 5, over a seed that has no end."""
    training = [held("DPO", 2.0, 1.0), held("DPO", 8.0, None, seed=1), held("DPO", None, 9.0, seed=2)]
    found = shown(only(direction_tables([], training, METHODS)), "DPO")
    assert [found[name].value for name in ("held_before", "held_after", "right_way")] == [5.0, 5.0, "yes"]
    assert found["held_after"].notes == ("no value in 1 of 3 seeds",)


def test_of_several_references_the_first_that_is_not_the_method_itself_is_read():
    records = [
        r
        for method, against_adpa, against_dckd in [
            ("Student", 0.0, 0.25), ("ADPA", 0.5, 1.0), ("DCKD", 0.125, 0.5), ("DPO", 0.25, 1.0),
        ]
        for reference, value in (("DCKD", against_dckd), ("ADPA", against_adpa))
        for r in wins(method, value, value, reference=reference)
    ]  # fmt: skip
    table = only(direction_tables(records, [], ["DPO", "DCKD", "ADPA"], QUICK))
    found = {row.method: row.cells[0].value for row in table.rows}
    assert found == {"DPO": 0.25, "DCKD": 0.125, "ADPA": 0.75}
    assert table.notes[0] == "WR: judge rule, reference ADPA; reference DCKD for ADPA"


def test_a_method_that_is_the_only_reference_is_compared_all_the_same():
    records = wins("Student", 0.25, 0.25) + wins("ADPA", 0.5, 0.5)
    found = shown(only(direction_tables(records, [], ["ADPA"], QUICK)), "ADPA")
    assert (found["alpaca-eval.win_rate.less_student"].value, found["verdict"].value) == (
        0.25,
        "as the paper",
    )


def test_without_the_student_only_objectives_are_shown_and_a_note_says_why():
    table = only(direction_tables(wins("DPO", 0.5), [held("DPO", 1.0, 0.5)], METHODS, QUICK))
    assert [c.name for c in table.columns] == ["held_before", "held_after", "right_way"]
    assert table.notes[-1] == "no WR less Student: the run has no win rate of the Student"


def test_objectives_are_left_out_where_none_was_measured():
    records = wins("Student", 0.5, 0.5) + wins("DPO", 1.0, 1.0)
    names = [c.name for c in only(direction_tables(records, [TRAINING], METHODS, QUICK)).columns]
    assert names == ["alpaca-eval.win_rate.less_student", "published.win_rate.less_student", "verdict"]


def test_two_judges_have_two_verdicts():
    records = [
        r
        for judge, value in (("rule", 1.0), ("gpt-4", 0.0))
        for r in wins("Student", 0.5, 0.5, judge=judge) + wins("DPO", value, value, judge=judge)
    ]
    found = shown(only(direction_tables(records, [], METHODS, QUICK)), "DPO")
    assert found["verdict by rule"].value == "as the paper"
    assert found["verdict by gpt-4"].value == "not as the paper"


def test_a_run_with_neither_has_no_table():
    assert direction_tables(wins("DPO", 0.5), [TRAINING], METHODS, QUICK) == []
