"""The table on how far judges scatter: from records and repeats that are written by hand."""

from dataclasses import replace
from math import sqrt

import pytest

from reports import build
from reports.records.groups import grouped
from reports.records.rows import Judging, Record, Repeat
from reports.records.run_folder import Rows
from reports.tables.judge_noise import judge_noise_tables
from reports.tables.judging_cost import judging_tables
from reports.tables.table import Cell, Table

RUN = ("s", "p", "d", "DPO", 0)
# On the scale of MT-Bench, two questions of two turns; q1 was asked again.
RECORD = Record(*RUN, "mt-bench", "score", "math", "q1", 1, "", "gpt-4", "gpt-4", 4.0)
RECORDS = [
    replace(RECORD, question=q, turn=turn, value=value)
    for q, turn, value in (("q1", 1, 4.0), ("q1", 2, 6.0), ("q2", 1, 8.0), ("q2", 2, 10.0))
]
REPEAT = Repeat(*RUN, "mt-bench", "gpt-4", "gpt-4", "score", "math", "q1", 1, "", 1, "9f3a", 6.0)
REPEATS = [
    REPEAT,
    replace(REPEAT, turn=2, request="77b1", value=None, status="unparsed"),
    replace(REPEAT, repeat=2, value=5.0),
]


def shown(table: Table, row: str) -> dict[str, Cell]:
    (found,) = (r for r in table.rows if r.method == row)
    return {c.title: cell for c, cell in zip(table.columns, found.cells, strict=True)}


def test_noise_is_told_of_a_verdict_of_a_mean_and_of_the_spread_of_questions() -> None:
    """(4, 6, 5) has a mean square of 1, and (6, none) none. Two questions of two verdicts: 1 / 2 / 2 = 0.25
    of a mean's variance, and of the questions' variance (5, 9: 8) 0.5 / 8.
    """
    (table,) = judge_noise_tables(REPEATS, grouped(RECORDS))
    cells = shown(table, "gpt-4, mt-bench")
    assert {title: cell.value for title, cell in cells.items()} == {
        "Noise, sd (score)": 1.0,
        "Of the mean, sd (score)": 0.5,
        "Of the variance (%)": 0.0625,
        "Items asked again": 2,
        "Repeats": 3,
        "Repeats without a verdict": 1,
    }


def test_rows_are_pooled_and_one_row_may_have_questions_without_all_verdicts() -> None:
    """Another row's (1, 1): 2 + 0 on 3 df. Its q2 lacks a turn, so that one question tells of no spread."""
    other = [replace(r, method="SFT", value=1.0) for r in RECORDS]
    other[-1] = replace(other[-1], value=None, status="unparsed")
    repeats = [*REPEATS, replace(REPEAT, method="SFT", request="0f3a", value=1.0)]
    (table,) = judge_noise_tables(repeats, grouped([*RECORDS, *other]))
    cells = shown(table, "gpt-4, mt-bench")
    assert cells["Noise, sd (score)"].value == pytest.approx(sqrt(2 / 3))
    assert cells["Of the variance (%)"].value == pytest.approx(2 / 3 / 2 / 8)


def test_rows_that_sent_the_judge_the_same_are_one_item() -> None:
    """The rows of several seeds of a model that has none of its own: their replies are one."""
    records = [replace(r, seed=seed) for seed in (0, 1, 2) for r in RECORDS]
    (once,) = judge_noise_tables(REPEATS, grouped(RECORDS))
    (table,) = judge_noise_tables(
        [replace(r, seed=seed) for seed in (0, 1, 2) for r in REPEATS], grouped(records)
    )
    assert table == once


def test_shares_and_scores_have_columns_of_their_own_and_orders_are_two_verdicts() -> None:
    """(1, 0) within: 0.5 on 1 df, in the order that was asked again."""
    both = replace(RECORD, benchmark="alpaca-eval", metric="win_rate", reference="SFT", value=1.0)
    records = [replace(both, question=q, order=order) for q in ("1", "2") for order in ("ab", "ba")]
    again = Repeat(*RUN, "alpaca-eval", "gpt-4", "SFT", "win_rate", "math", "1", 1, "ab", 1, "c0de", 0.0)
    (table,) = judge_noise_tables([*REPEATS, again], grouped([*RECORDS, *records]))
    cells = shown(table, "gpt-4, alpaca-eval")
    assert cells["Noise, sd (%)"].value == pytest.approx(sqrt(0.5))
    assert cells["Noise, sd (score)"] == Cell()
    assert cells["Of the mean, sd (%)"].value == pytest.approx(sqrt(0.5 / 2 / 2))
    assert cells["Of the variance (%)"] == Cell()  # both questions have 1


def test_a_judge_that_says_the_same_each_time_has_a_zero_that_is_said() -> None:
    (table,) = judge_noise_tables([replace(REPEAT, value=4.0)], grouped(RECORDS))
    assert shown(table, "gpt-4, mt-bench")["Noise, sd (score)"].value == 0.0
    told = "gpt-4, mt-bench: every repeat gave its item's first verdict again, so no noise was seen"
    assert told in table.notes


def test_repeats_without_a_verdict_leave_the_noise_unknown() -> None:
    (table,) = judge_noise_tables([replace(REPEAT, value=None, status="unparsed")], grouped(RECORDS))
    cells = shown(table, "gpt-4, mt-bench")
    assert cells["Noise, sd (score)"] == cells["Of the variance (%)"] == Cell()
    assert cells["Repeats without a verdict"].value == 1


def test_a_run_without_repeats_has_no_such_table_and_no_number_changes_by_them() -> None:
    once, again = (build.build(Rows(records=RECORDS, repeats=own)) for own in ((), REPEATS))
    assert "judge_noise" not in once and "judge_noise" in again
    assert {name: tables for name, tables in again.items() if name != "judge_noise"} == once


def test_calls_that_asked_again_are_in_what_judging_took_and_told() -> None:
    took = Judging(*RUN, "mt-bench", "gpt-4", "", 160, 0, 0, 192, 1200, 120, 0.6, ("gpt-4-1106 fp_1",), 32)
    (table,) = judging_tables([took], ["DPO"])
    assert table.rows[0].cells[0].value == 192
    assert table.notes[-1] == "gpt-4: 32 of its calls asked for a verdict again"
