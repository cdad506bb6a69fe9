"""The main table: what a cell is a mean of, and what is said where there is none."""

import random
from dataclasses import replace

import pytest

from reports.records.rows import Record
from reports.statistics.bootstrap import Draw
from reports.tables import columns
from reports.tables.main import difference_tables, main_tables
from reports.tables.table import Cell, Table
from tests.reports.tables.reading import only

QUICK = Draw(resamples=200)


def record(
    method: str, question: str, value: float | None, benchmark: str = "rule", metric: str = "score", **fields
) -> Record:
    base = Record(
        "pocket", "pocket", "pocket", method, 0, benchmark, metric, "", question, 1, "", "", "", 0.0
    )
    return replace(base, value=value, **fields)


def cells(table: Table, column: int = 0) -> dict[str, Cell]:
    return {row.method: row.cells[column] for row in table.rows}


def test_orders_of_a_turn_are_one_value_and_questions_are_drawn_with_all_their_turns():
    """Turns 2, 4, (8 + 10) / 2 and (9 + 9) / 2: their mean is 6; a draw of one question twice is 3 or 9."""
    table = only(
        main_tables(
            [
                record("DPO", "81", 2.0, turn=1),
                record("DPO", "81", 4.0, turn=2),
                record("DPO", "82", 8.0, turn=1, order="ab"),
                record("DPO", "82", 10.0, turn=1, order="ba"),
                record("DPO", "82", 9.0, turn=2, order="ab"),
                record("DPO", "82", 9.0, turn=2, order="ba"),
            ],
            ["DPO"],
            QUICK,
        )
    )
    cell = cells(table)["DPO"]
    assert (cell.value, cell.low, cell.high, cell.n) == (6.0, 3.0, 9.0, 2)


def test_openllm_is_the_mean_over_tasks():
    """((1 + 0) / 2 + 1) / 2 = 3/4."""
    records = [
        record("DPO", q, v, "openllm", "primary", group=task)
        for task, q, v in [("arc_challenge", "0", 1.0), ("arc_challenge", "1", 0.0), ("gsm8k", "0", 1.0)]
    ]
    table = only(main_tables(records, ["DPO"], QUICK))
    assert table.columns[0].title == "OpenLLM"
    assert (cells(table)["DPO"].value, cells(table)["DPO"].n) == (0.75, 3)
    assert "OpenLLM: unweighted mean over arc_challenge, gsm8k, in percent" in table.notes


def test_a_method_that_lacks_a_task_has_no_average():
    records = [record("DPO", "0", 1.0, "openllm", "primary", group=t) for t in ("arc_challenge", "gsm8k")]
    records.append(record("SFT", "0", 1.0, "openllm", "primary", group="gsm8k"))
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert cells(table)["SFT"] == Cell(notes=("no average without arc_challenge",))


@pytest.mark.parametrize(("task", "title"), [("arc_challenge", "ARC-Challenge"), ("my_task", "my_task")])
def test_a_single_task_names_its_column(task: str, title: str):
    records = [record("DPO", "0", 1.0, "openllm", "primary", group=task)]
    assert only(main_tables(records, ["DPO"], QUICK)).columns[0].title == title


def test_columns_stand_in_the_papers_order_and_only_where_there_are_records():
    records = [
        record("DPO", "0", 1.0, "teacher-reward", "length"),
        record("DPO", "0", 1.0, "implicit-reward", "accuracy"),
        record("DPO", "0", 1.0, "mt-bench", "score", judge="gpt-4"),
        record("DPO", "0", 1.0, "mt-bench", "another metric", judge="gpt-4"),
    ]
    titles = [c.title for c in only(main_tables(records, ["DPO"], QUICK)).columns]
    assert titles == ["MT-Bench", "Reward accuracy (%)", "Length (tokens)"]


def test_a_method_without_records_is_a_row_of_nothing():
    table = only(main_tables([record("DPO", "0", 1.0)], ["Teacher", "DPO"], QUICK))
    assert [row.method for row in table.rows] == ["Teacher", "DPO"]
    assert cells(table)["Teacher"] == Cell()


def test_a_reason_stands_for_every_column_of_its_benchmark():
    """It names its reference but no judge, as nothing was judged."""
    why = "not run: no answers of the reference ADPA"
    judged = {"judge": "rule", "reference": "ADPA"}
    records = [
        record("DPO", "0", 0.5, "alpaca-eval", "win_rate", **judged),
        record("SFT", "", None, "alpaca-eval", "win_rate", status=why, reference="ADPA"),
        record("DPO", "0", 1.0, "teacher-reward", "reward"),
        record("DPO", "0", 1.0, "teacher-reward", "length"),
        record("SFT", "", None, "teacher-reward", "reward", status="not run: no DPO teacher"),
    ]
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert [c.notes for c in table.rows[1].cells] == [(why,), *[("not run: no DPO teacher",)] * 2]


def test_a_benchmark_that_no_method_could_run_still_has_its_column():
    records = [record("DPO", "", None, "mt-bench", "score", status="not run: no judge")]
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert table.columns[0].title == "MT-Bench"
    assert cells(table) == {"DPO": Cell(notes=("not run: no judge",)), "SFT": Cell()}


def test_unparsed_judgments_are_counted_and_left_out_of_the_mean():
    records = [record("DPO", str(q), 8.0) for q in range(3)]
    records.append(record("DPO", "3", None, status="unparsed"))
    cell = cells(only(main_tables(records, ["DPO"], QUICK)))["DPO"]
    assert (cell.value, cell.n, cell.notes) == (8.0, 3, ("1 of 4 unparsed",))


def test_a_cell_with_nothing_but_unparsed_judgments_is_empty_and_says_so():
    records = [record("DPO", "0", None, status="unparsed"), record("SFT", "0", 1.0)]
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert cells(table)["DPO"] == Cell(notes=("1 of 1 unparsed",))


def test_judges_and_references_are_never_averaged_over():
    judged = [("rule", "ADPA", 1.0), ("gpt-4", "ADPA", 0.5), ("rule", "DPO", 0.0)]
    records = [
        record("SFT", "0", v, "alpaca-eval", "win_rate", judge=judge, reference=reference)
        for judge, reference, v in judged
    ]
    table = only(main_tables(records, ["SFT"], QUICK))
    shown = {c.title: cell.value for c, cell in zip(table.columns, table.rows[0].cells, strict=True)}
    assert shown == {
        "AlpacaEval WR (%) vs ADPA by gpt-4": 0.5,
        "AlpacaEval WR (%) vs ADPA by rule": 1.0,
        "AlpacaEval WR (%) vs DPO by rule": 0.0,
    }


def test_the_notes_name_judge_reference_and_kind_of_interval():
    records = [record("DPO", "0", 0.5, "alpaca-eval", "win_rate", judge="rule", reference="ADPA")]
    shown = only(main_tables(records, ["DPO", "ADPA"])).notes
    assert shown == (
        "AlpacaEval WR (%): judge rule, reference ADPA",
        "intervals: 95 % bootstrap over questions, B = 5,000, seed 0, paired; conditional on this checkpoint",
        "an AlpacaEval row equal to its reference is 50 by definition",
        columns.SINGLE,
    )
    assert only(main_tables(records, ["DPO"])).notes == (*shown[:2], columns.SINGLE)


def test_seeds_are_named_and_a_row_with_fewer_says_so():
    records = [record("DPO", q, s + float(q), seed=s) for s in (0, 1) for q in "012"]
    records += [record("SFT", q, float(q)) for q in "021"]
    records.append(record("SFT", "", None, status="failed: diverged", seed=1))
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert f"means over seeds 0, 1, {columns.TRAININGS}" in table.notes[0]
    assert "of one run, its training's chance taken from the others': SFT" in table.notes[0]
    assert cells(table)["DPO"].notes == ()
    assert cells(table)["SFT"].notes == ("seed 0 of 0, 1", "failed: diverged")


def test_of_one_question_nothing_says_how_far_trainings_lie_apart():
    records = [record("DPO", "0", 1.0, seed=s) for s in (0, 1)] + [record("SFT", "0", 1.0)]
    notes = only(main_tables(records, ["DPO", "SFT"], QUICK)).notes
    drawn = "95 %, means over seeds 0, 1, bootstrap over questions, B = 200, seed 0, paired"
    assert notes[0] == f"intervals: {drawn}; conditional on these checkpoints"


def test_worlds_are_never_averaged_as_one_and_a_row_with_fewer_says_so():
    """DPO is 1 in world 0 and 3 in world 1; SFT has world 1 alone."""
    records = [
        record("DPO", q, float(q) + 2 * w, seed=s, world_seed=w)
        for s in (0, 1)
        for w in (0, 1)
        for q in "012"
    ]
    records += [record("SFT", q, float(q), world_seed=1) for q in "012"]
    table = only(main_tables(records, ["DPO", "SFT"], QUICK))
    assert cells(table)["DPO"].value == 2.0
    assert "means over worlds 0, 1 x seeds 0, 1, " in table.notes[0]
    assert table.notes[0].endswith("replicates: 2 base models x 2 seeds of the last stage")
    assert cells(table)["SFT"].notes == ("world 1: seed 0 of worlds 0, 1 x seeds 0, 1",)


def test_the_interval_of_several_seeds_is_wider_by_the_chance_of_training():
    """Seeds 2 apart on the same 40 questions: t of two degrees of freedom by the seeds' standard error,
    2 / sqrt 3, but for the weight of the prior. One run alone has the interval of its checkpoint.
    """
    rng = random.Random(1)
    values = [rng.gauss(5, 0.1) for _ in range(40)]
    seeded = [record("DPO", str(q), v + 2 * s, seed=s) for q, v in enumerate(values) for s in (0, 1, 2)]
    single = [record("SFT", str(q), v) for q, v in enumerate(values)]
    found = cells(only(main_tables(seeded, ["DPO"])))
    assert (found["DPO"].high - found["DPO"].low) / 2 == pytest.approx(4.303 * 2 / 3**0.5, rel=0.1)
    alone = cells(only(main_tables(single, ["SFT"])))
    assert (alone["SFT"].high - alone["SFT"].low) / 2 == pytest.approx(0.031, abs=0.01)
    beside = cells(only(main_tables(seeded + single, ["DPO", "SFT"])))
    assert beside["SFT"].high - beside["SFT"].low > 2 * 2 * 1.96
    less = cells(only(difference_tables(seeded + single, ["DPO", "SFT"], "SFT")))["DPO"]
    assert less.low < 0 < less.high


def test_a_method_that_is_not_shown_is_named():
    table = only(main_tables([record("DPO", "0", 1.0), record("SFT", "0", 1.0)], ["DPO"], QUICK))
    assert table.notes[-1] == "records but no row here: SFT"


def test_pairs_have_tables_and_datasets_have_rows_of_their_own():
    records = [
        record("DPO", "0", value, pair=pair, dataset=dataset)
        for pair, dataset, value in [("b>a", "y", 1.0), ("b>a", "x", 2.0), ("c>a", "x", 3.0)]
    ]
    tables = main_tables(records, ["DPO"], QUICK)
    assert [t.title for t in tables] == ["Results: pocket, b>a", "Results: pocket, c>a"]
    assert [[(r.dataset, r.cells[0].value) for r in t.rows] for t in tables] == [
        [("x", 2.0), ("y", 1.0)],
        [("x", 3.0)],
    ]


def test_the_order_of_records_does_not_matter():
    rng = random.Random(0)
    records = [
        record(m, str(q), rng.gauss(5, 1), group=rng.choice("ab"), turn=t, seed=s)
        for m in ("SFT", "DPO", "ADPA")
        for q in range(9)
        for t in (1, 2)
        for s in (0, 1)
    ]
    tables = main_tables(records, ["SFT", "DPO", "ADPA"], QUICK)
    for _ in range(5):
        rng.shuffle(records)
        assert main_tables(records, ["SFT", "DPO", "ADPA"], QUICK) == tables


def test_differences_are_paired_and_the_baseline_has_none():
    """ADPA is better by 1 on each question, so the difference has no width however much questions differ."""
    records = [record("DPO", str(q), float(q)) for q in range(8)]
    records += [record("ADPA", str(q), float(q + 1)) for q in range(8)]
    table = only(difference_tables(records, ["DPO", "ADPA", "SFT"], "DPO", QUICK))
    assert table.title == "Differences from DPO: pocket"
    assert cells(table) == {"DPO": Cell(), "ADPA": Cell(1.0, 1.0, 1.0, 8), "SFT": Cell()}
    assert not any(column.best for column in table.columns)


def test_a_baseline_that_is_no_row_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'ADPA'"):
        difference_tables([], ["DPO", "ADPA"], "ADAP")


def test_nothing_makes_no_table():
    assert main_tables([], ["DPO"]) == []
