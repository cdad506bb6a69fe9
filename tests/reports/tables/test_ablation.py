"""The tables of a method's variations: which appear, what a row is judged against, what stands beside."""

import random
from dataclasses import replace

import pytest

import methods
from reports import published
from reports.records.rows import Record
from reports.render import to_markdown
from reports.statistics.bootstrap import Draw
from reports.tables.ablation import SHAPES, ablation_tables
from reports.tables.table import Cell, Table
from tests.reports.tables.reading import cells, only

QUICK = Draw(resamples=200)
BLANK = Record(
    "pocket", "pocket", "pocket", "", 0, "alpaca-eval", "win_rate", "", "0", 1, "", "rule", "ADPA", 0.5
)
ALL = list(dict.fromkeys(m for shape in SHAPES for block in shape.blocks for m in block.rows))


def wins(method: str, *values: float, reference: str = "ADPA", **fields) -> list[Record]:
    """A win rate a question."""
    row = replace(BLANK, method=method, reference=reference, **fields)
    return [replace(row, question=str(q), value=v) for q, v in enumerate(values)]


def ratings(method: str, *values: float) -> list[Record]:
    row = replace(BLANK, method=method, benchmark="mt-bench", metric="score", reference="")
    return [replace(row, question=str(q), value=v) for q, v in enumerate(values)]


def ablation() -> list[Record]:
    """Every row has both references, as a suite with two of them judges every row against each."""
    found = []
    for method, against_dckd, against_adpa, rating in [
        ("DCKD", (0.5,) * 4, (0.0,) * 4, 8.0),
        ("DCKD w/o DPO teacher", (1.0, 0.0, 0.0, 0.0), (0.0,) * 4, 7.0),
        ("DCKD w/o dispreferred", (0.0,) * 4, (0.0,) * 4, 9.0),
        ("ADPA", (1.0,) * 4, (0.5,) * 4, 6.0),
        ("ADPA w/o reference teacher", (1.0,) * 4, (0.5, 0.5, 0.0, 0.0), 5.0),
    ]:
        found += wins(method, *against_dckd, reference="DCKD") + wins(method, *against_adpa)
        found += ratings(method, *(rating,) * 4)
    return found


GOLDEN = """\
### Ablation: pocket

| Method | AlpacaEval WR (%) vs full method (n=4) | MT-Bench (n=4) | paper WR (500M / 1.8B / 7B) |
| --- | ---: | ---: | ---: |
| DCKD | 50.0 [50.0, 50.0] | 8.00 [8.00, 8.00] | 50.0 / 50.0 / 50.0 |
| DCKD w/o DPO teacher | 25.0 [0.6, 80.6] | 7.00 [7.00, 7.00] | 48.2 / 35.6 / 39.1 |
| DCKD w/o dispreferred | 0.0 [0.0, 60.2] | 9.00 [9.00, 9.00] | 40.3 / 39.9 / 37.9 |
| ADPA | 50.0 [50.0, 50.0] | 6.00 [6.00, 6.00] | 50.0 / 50.0 / 50.0 |
| ADPA w/o reference teacher | 25.0 [0.6, 80.6] | 5.00 [5.00, 5.00] | 31.6 / 36.6 / 46.2 |

- AlpacaEval WR (%) vs ADPA: judge rule, reference ADPA
- AlpacaEval WR (%) vs DCKD: judge rule, reference DCKD
- MT-Bench: judge rule
- intervals: 95 % bootstrap over questions, B = 5,000, seed 0, paired; conditional on this checkpoint
- an AlpacaEval row equal to its reference is 50 by definition
- AlpacaEval WR (%) vs full method: exact intervals (Clopper-Pearson) of right and wrong answers, and \
where wins or losses are few
- one run a method: the difference between two trainings of the same method is not in these intervals, and \
nothing is marked
- paper WR: percent against the full method, ADPA's Table 2, DPO-MIX-7K, three students
"""


def names(records: list[Record]) -> list[str]:
    return sorted({r.method for r in records})


def titles(tables: list[Table]) -> list[str]:
    return [t.title.removesuffix(": pocket") for t in tables]


def test_each_block_is_judged_against_its_full_method_with_the_papers_numbers_beside():
    """One win of four, or two draws, are 1/4: at 0.6 % so much is won in 2.5 of 100, at 80.6 % so little.
    None of four: 1 - 0.025^(1/4) = 60.2 %.
    """
    assert to_markdown(only(ablation_tables(ablation(), ALL))) == GOLDEN


def test_the_order_of_records_does_not_matter():
    records = ablation()
    random.Random(0).shuffle(records)
    assert to_markdown(only(ablation_tables(records, ALL))) == GOLDEN


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["ADPA", "DCKD", "PAD", "SimPO", "DDPO", "DPKD"], []),
        (["DPPO[token]"], []),
        (["ADPA", "SimPO[PAD]"], []),
        (["ADPA", "ADPA[top-5]"], ["Support"]),
        (["DPPO[token]", "DPPO[sequence]"], ["Reward granularity"]),
        (["ADPA", "ADPA[chosen]", "PAD", "PAD[2x2]"], ["State sources", "Decomposing strategy"]),
        (ALL, [shape.title for shape in SHAPES]),
    ],
)
def test_a_table_needs_two_rows_one_of_them_not_the_full_method(rows: list[str], expected: list[str]):
    records = [r for m in rows for r in wins(m, 0.5, 1.0) + wins(m, 0.5, reference="DCKD")]
    assert titles(ablation_tables(records, ALL, QUICK)) == expected


def test_a_row_that_the_run_lacks_is_left_out():
    records = wins("ADPA", 0.5) + wins("ADPA[top-20]", 1.0) + wins("ADPA[top-50]", 1.0)
    table = only(ablation_tables(records, ["ADPA", "ADPA[top-20]"], QUICK))
    assert [row.method for row in table.rows] == ["ADPA[top-20]", "ADPA"]


def test_a_block_with_nothing_but_its_full_method_is_left_out():
    records = [r for m in ("ADPA", "DCKD", "ADPA w/o reference teacher") for r in wins(m, 0.5)]
    table = only(ablation_tables(records, ALL, QUICK))
    assert [row.method for row in table.rows] == ["ADPA", "ADPA w/o reference teacher"]
    assert table.columns[0].title == "AlpacaEval WR (%) vs ADPA"


def test_a_reference_that_nothing_was_judged_against_is_named_in_each_cell():
    records = [r for r in ablation() if r.reference != "DCKD"]
    found = cells(only(ablation_tables(records, ALL, QUICK)), "AlpacaEval WR (%) vs full method")
    assert found["DCKD"] == found["DCKD w/o DPO teacher"] == Cell(notes=("not judged against DCKD",))
    assert (found["ADPA"].value, found["ADPA w/o reference teacher"].value) == (0.5, 0.25)


def test_the_reason_of_a_reference_that_was_not_run_is_given():
    why = "not run: no answers of the reference DCKD"
    records = [r for r in ablation() if r.reference != "DCKD"]
    missing = replace(BLANK, question="", reference="DCKD", value=None, status=why)
    records += [replace(missing, method=m) for m in names(records)]
    found = cells(only(ablation_tables(records, ALL, QUICK)), "AlpacaEval WR (%) vs full method")
    assert found["DCKD w/o DPO teacher"] == Cell(notes=(why,))


def test_without_alpaca_eval_a_table_says_so_and_one_of_win_rates_alone_is_left_out():
    records = [r for m in ("ADPA", "ADPA[top-5]", "Q-argmax KD") for r in ratings(m, 5.0)]
    table = only(ablation_tables(records, ALL, QUICK))
    assert table.title == "Support: pocket"
    assert [c.title for c in table.columns] == ["MT-Bench"]
    assert table.notes[-1] == "no WR: the run has no AlpacaEval"


def test_two_judges_are_two_columns():
    records = [
        r
        for m, v in (("ADPA", 0.5), ("Q-argmax KD", 0.25))
        for judge in ("rule", "gpt-4")
        for r in wins(m, v if judge == "rule" else 1.0, judge=judge)
    ]
    table = only(ablation_tables(records, ALL, QUICK))
    shown = {c.title: cell.value for c, cell in zip(table.columns, table.rows[0].cells, strict=True)}
    assert shown == {
        "AlpacaEval WR (%) vs ADPA by gpt-4": 1.0,
        "AlpacaEval WR (%) vs ADPA by rule": 0.25,
        "paper WR (%)": "41.8",
    }


def test_reward_granularity_has_its_complexity_before_and_the_paper_after():
    records = wins("DPPO[sequence]", 0.0) + wins("DPPO[token]", 0.25) + wins("ADPA", 0.5)
    table = only(ablation_tables(records, ALL, QUICK))
    assert [[c.value for c in row.cells] for row in table.rows] == [
        ["O(|A|^(T-t))", 0.0, "27.7"],
        ["O(|A|)", 0.25, "40.0"],
        ["O(1)", 0.5, "50.0"],
    ]


def test_nothing_is_best_in_a_published_column_nor_across_two_references():
    records = [r for m in ALL for r in wins(m, 0.5) + wins(m, 0.5, reference="DCKD") + ratings(m, 5.0)]
    best = {
        table.title.removesuffix(": pocket"): [c.title for c in table.columns if c.best]
        for table in ablation_tables(records, ALL, QUICK)
    }
    ours = "AlpacaEval WR (%) vs ADPA"
    assert best == {
        "Ablation": ["MT-Bench"],
        "Reward granularity": [ours],
        "Q-variants": [ours],
        "State sources": [ours, "MT-Bench"],
        "Support": [ours, "MT-Bench"],
        "Teacher scores": [ours, "MT-Bench"],
        "Decomposing strategy": [ours, "MT-Bench"],
        "As released": [ours, "MT-Bench"],
    }


def test_pairs_have_tables_and_datasets_have_rows_of_their_own():
    records = [
        replace(r, pair=pair, dataset=dataset)
        for pair, dataset in [("b>a", "y"), ("b>a", "x"), ("c>a", "x")]
        for m in ("ADPA", "Q-argmax KD")
        for r in wins(m, 0.5)
    ]
    tables = ablation_tables(records, ALL, QUICK)
    assert [t.title for t in tables] == ["Q-variants: pocket, b>a", "Q-variants: pocket, c>a"]
    assert [[(r.dataset, r.method) for r in t.rows] for t in tables] == [
        [("x", "Q-argmax KD"), ("x", "ADPA"), ("y", "Q-argmax KD"), ("y", "ADPA")],
        [("x", "Q-argmax KD"), ("x", "ADPA")],
    ]


def test_every_row_of_a_table_and_of_the_paper_is_a_method_that_can_be_run():
    beside = {m for shape in SHAPES for column in (*shape.before, *shape.after) for m in column.texts}
    rows = {*ALL, *beside, *published.DPO_MIX_7K, *published.HELPSTEER2, *published.PAD_LC}
    assert rows <= {*methods.registry(), "Teacher", "Student"}


def test_every_entry_that_varies_a_method_has_a_row():
    assert {m.name for m in methods.BUILT_IN if m.kind in ("ablation", "variant")} <= set(ALL)
