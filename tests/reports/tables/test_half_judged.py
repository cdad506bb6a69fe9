"""Where a number of verdicts comes from: one rule for every table, also where a verdict could not be read."""

from dataclasses import replace
from fractions import Fraction

import pytest

from reports import build
from reports.page import answer_data
from reports.records.benchmarks import DEFAULT, Benchmarks
from reports.records.groups import grouped
from reports.records.rows import Count, Record
from reports.records.run_folder import Rows
from reports.tables.health import HALF_JUDGED, NOT_COUNTED, health
from reports.tables.table import Table
from tests.reports.page import page_run
from tests.reports.tables.reading import cells

BLANK = Record("run", "run", "data", "", 0, "alpaca-eval", "win_rate", "", "", 1, "", "gpt-4", "ref", 0.0)
LOST = None
# GPT-4's ratings of both turns of questions 81 to 160, of the row `unify` that RouteLLM published; one is -1.
UNIFY = """
10,8 10,9 10,7 9,10 9,10 10,10 10,9 10,9 9,10 9,10 8,7 6,2 8,9 10,9 9,8 9,9 9,9 8,9 10,8 8,10 10,3 10,2 6,9
10,10 2,3 10,10 10,9 10,10 10,2 10,10 2,2 10,10 10,9 7,9 10,3 10,10 10,6 2,2 10,10 10,2 9,9 9,8 9,9 10,10 2,9
8,7 10,9 9,2 9,9 7,9 10,-1 10,10 10,9 10,10 10,10 10,10 10,10 10,10 10,10 9,10 9,9 10,10 8.5,10 9,9 10,10
10,10 10,9 10,9 10,9 10,10 10,10 9,10 9,10 10,10 10,10 10,10 10,10 10,9 10,10 10,10
"""


def judged(blank: Record, value: float | None, **fields) -> Record:
    return replace(blank, value=value, status="unparsed" if value is None else "ok", **fields)


def verdicts(method: str, *pairs: tuple[float | None, float | None], **fields) -> list[Record]:
    """Two orders of each question."""
    blank = replace(BLANK, method=method, **fields)
    return [
        judged(blank, v, question=str(q), order=order)
        for q, pair in enumerate(pairs)
        for order, v in zip(("ab", "ba"), pair, strict=True)
    ]


def turns(method: str, *ratings: tuple[float | None, ...], **fields) -> list[Record]:
    blank = replace(BLANK, method=method, benchmark="mt-bench", metric="score", reference="", **fields)
    return [
        judged(blank, v, question=str(q), turn=t)
        for q, own in enumerate(ratings)
        for t, v in enumerate(own, 1)
    ]


def tables(records: list[Record], benchmarks: Benchmarks = DEFAULT) -> dict[str, Table]:
    """The tables of one benchmark, by name."""
    rows = Rows(records=records, benchmarks=benchmarks)
    return {name: parts[0] for name, parts in build.build(rows).items()}


STUDENT = verdicts("Student", (1.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.5, 0.5))
# Of DPO's questions 0 is won, 1 lost, 2 half-judged and 3 not judged at all.
DPO = verdicts("DPO", (1.0, 1.0), (0.0, 0.0), (LOST, 0.0), (LOST, LOST))
WR = "AlpacaEval WR (%)"


def test_a_half_judged_question_is_in_no_number_of_any_table_and_is_counted():
    """DPO: (1 + 0) / 2; with the verdict of half a question it would be 1/3. Paired with the Student it is
    (1 + 0) / 2 - (1 + 0) / 2 = 0, where the Student's own mean is 3/8.
    """
    found = tables(STUDENT + DPO)
    notes = ("3 of 8 unparsed", "1 of 4 questions half-judged, in no number")
    for name in ("main", "comparison"):
        cell = cells(found[name], WR)["DPO"]
        assert (cell.value, cell.n, cell.notes[:2]) == (0.5, 2, notes)
    assert cells(found["main"], WR)["Student"].value == 0.375
    for name, title in (("comparison", "less Student"), ("direction", "WR less Student (%)")):
        cell = cells(found[name], title)["DPO"]
        assert (cell.value, cell.n) == (0.0, 2)
    quality = cells(found["quality"], "Judgments unparsed")
    assert (quality["DPO"].value, quality["DPO"].n) == (3, 8)
    assert quality["DPO"].notes == ("1 questions half-judged: a verdict in one order of two, in no number",)
    assert quality["Student"].notes == ()
    counted = Count("run", "run", "data", HALF_JUDGED, "", "", 0, 0)
    line = "health: questions half-judged 1 of 8"
    assert [health([counted], grouped(STUDENT + DPO)), health([], grouped(DPO))] == [line, NOT_COUNTED]


def test_a_benchmark_that_does_not_want_both_orders_keeps_the_verdict_that_there_is():
    """(1 + 0 + 0) / 3."""
    known = [b for b in DEFAULT if b.name == "alpaca-eval"]
    (column,) = known[0].columns
    declared = known[0].model_copy(update={"columns": (column.model_copy(update={"both_orders": False}),)})
    cell = cells(tables(STUDENT + DPO, Benchmarks((declared,)))["main"], WR)["DPO"]
    assert (cell.value, cell.n, cell.notes[0]) == (pytest.approx(1 / 3), 3, "3 of 8 unparsed")
    assert not any("half-judged" in note for note in cell.notes)


def test_a_question_that_was_asked_once_is_whole():
    records = [replace(r, order="ab") for r in DPO if r.order == "ba"]
    cell = cells(tables(records)["main"], WR)["DPO"]
    assert (cell.value, cell.n, cell.notes[0]) == (pytest.approx(1 / 3), 3, "1 of 4 unparsed")
    assert not any("half-judged" in note for note in cell.notes)


def test_a_question_is_half_judged_in_the_seed_that_lacks_an_order():
    """Seed 0: (1 + 0) / 2, seed 1: (1 + 0 + 0) / 3; the mean of the two, as of the summaries' numbers."""
    whole = verdicts("DPO", (1.0, 1.0), (0.0, 0.0), (0.0, 0.0), (LOST, LOST), seed=1)
    cell = cells(tables(DPO + whole)["main"], WR)["DPO"]
    assert cell.value == pytest.approx(float((Fraction(1, 2) + Fraction(1, 3)) / 2))
    assert cell.notes[1] == "1 of 8 questions half-judged, in no number"


def test_ratings_are_fastchats_mean_over_the_turns_that_parsed():
    """(9 + 9 + 3) / 3 = 7, where the mean of the questions' means is (9 + 3) / 2 = 6."""
    found = tables(turns("DPO", (9.0, 9.0), (LOST, 3.0)) + turns("ADPA", (8.0, 8.0), (4.0, 4.0)))
    for name in ("main", "comparison"):
        cell = cells(found[name], "MT-Bench")["DPO"]
        assert (cell.value, cell.n, cell.notes) == (7.0, 2, ("1 of 4 unparsed",))


def test_a_published_row_with_a_rating_that_was_not_read_has_the_published_average():
    """FastChat's show_result prints 8.757862; the mean of the questions' means is 8.765625."""
    ratings = [tuple(float(x) for x in both.split(",")) for both in UNIFY.split()]
    assert (len(ratings), ratings[50]) == (80, (10.0, -1.0))
    ratings[50] = (10.0, LOST)
    cell = cells(tables(turns("unify", *ratings))["main"], "MT-Bench")["unify"]
    assert cell.value == pytest.approx(8.757862, abs=5e-7)
    assert (cell.n, cell.notes) == (80, ("1 of 160 unparsed",))


def test_two_rows_are_compared_on_the_turns_that_both_have():
    """ADPA less DPO: (8 - 9 + 8 - 9 + 4 - 3) / 3. The first turn of question 1 is ADPA's alone."""
    records = turns("DPO", (9.0, 9.0), (LOST, 3.0)) + turns("ADPA", (8.0, 8.0), (9.0, 4.0))
    found = tables(records)["comparison"]
    assert cells(found, "less DPO")["ADPA"].value == pytest.approx(-1 / 3)
    assert cells(found, "Rank")["DPO"].value == 1.0


def test_the_page_knows_which_judgments_want_both_orders():
    index = str(answer_data.data(page_run.texts(), {}).sets)
    assert index.count('"metric":"win_rate","both_orders":true') == 1
    assert index.count('"metric":"score","both_orders":false') == 1


def test_a_judge_that_names_a_place_is_told_beside_the_number_that_it_leaves():
    """Every question is 0.5 then, and no resample differs: the interval has no width."""
    led = verdicts("Student", *[(1.0, 0.0)] * 7, (LOST, 0.0))
    other = verdicts("DPO", *[(0.0, 1.0)] * 3, (1.0, 1.0), (0.5, 0.5))
    fair = verdicts("SFT", (1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (0.5, 0.0))
    found = cells(tables(led + other + fair)["main"], WR)
    assert (found["Student"].value, found["Student"].low, found["Student"].high) == (0.5, 0.5, 0.5)
    told = {m: [note for note in cell.notes if "position" in note] for m, cell in found.items()}
    assert told == {
        "Student": ["led by position in 7 of 7 questions asked in both orders"],
        "DPO": ["led by position in 3 of 5 questions asked in both orders"],
        "SFT": [],
    }
