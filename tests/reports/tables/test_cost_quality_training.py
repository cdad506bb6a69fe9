"""The tables of costs, data quality and training."""

import random
from dataclasses import replace

import pytest

from reports.build import build
from reports.records.rows import Cost, Judging, Record, Training
from reports.records.run_folder import Rows
from reports.tables.cost import cost_tables
from reports.tables.data_quality import quality_tables
from reports.tables.table import Cell, Table
from reports.tables.training import training_tables

COST = Cost("pocket", "pocket", "pocket", "DPO", 0, 10.0, 1e12, 0.0, 1000, 0.25, 2, 4, "cpu")
TRAINING = Training("pocket", "pocket", "pocket", "DPO", 0, 0.7, 0.5, -3.0, 4.0, 0.5, 300)
RECORD = Record(
    "pocket", "pocket", "pocket", "DPO", 0, "mt-bench", "score", "", "81", 1, "", "rule", "", 7.0, tokens=9
)

JUDGING = Judging(
    "pocket",
    "pocket",
    "pocket",
    "DPO",
    0,
    "mt-bench",
    "gpt-4",
    "",
    160,
    0,
    0,
    160,
    1000,
    100,
    0.5,
    ("gpt-4",),
)


def shown(table: Table, method: str) -> dict[str, Cell]:
    (row,) = (r for r in table.rows if r.method == method)
    return {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def test_costs_are_means_over_seeds():
    """Saved: 1 - 500 / 1000 and 1 - 800 / 1000."""
    one = replace(COST, positions=500, padded_positions=1000)
    other = replace(
        COST,
        seed=1,
        train_seconds=30.0,
        padding_share=0.75,
        device="cuda",
        positions=800,
        padded_positions=1000,
    )
    (table,) = cost_tables([one, other], ["Teacher", "DPO"])
    found = {name: cell.value for name, cell in shown(table, "DPO").items()}
    assert found == {
        "train_seconds": 20.0, "train_flops": 1e12, "teacher_flops": 0.0,
        "train_tokens": 1000.0, "padding_share": 0.5,
        "positions": 650.0, "saved_share": 0.35, "device": "cpu, cuda",
    }  # fmt: skip
    assert set(shown(table, "Teacher").values()) == {Cell()}
    assert table.notes == ("means over seeds 0, 1",)


def test_costs_of_several_worlds_are_rows_of_one_mean():
    costs = [replace(COST, world_seed=world, train_seconds=10.0 * world) for world in (1, 2)]
    (table,) = cost_tables(costs, ["DPO"])
    assert shown(table, "DPO")["train_seconds"].value == 15.0
    assert table.notes == ("means over worlds 1, 2 x seed 0",)


def test_warnings_name_world_and_seed_where_there_are_several():
    rows = [replace(TRAINING, world_seed=world, warnings=(f"of {world}",)) for world in (1, 0)]
    (table,) = training_tables(rows, [TRAINING.method])
    told = [note for note in table.notes if ": of " in note]
    assert told == [f"{TRAINING.method} (world 0): of 0", f"{TRAINING.method} (world 1): of 1"]


def test_the_note_under_the_costs_tells_what_sharing_a_teachers_passes_spares():
    """Two methods and two seeds read T(W); one of them T(L), too."""
    costs = [
        replace(COST, method=method, seed=seed, passes=("T/W/float32", "T/L/float32")[:count])
        for method, count in (("DCKD", 2), ("VanillaKD", 1))
        for seed in (0, 1)
    ]
    (table,) = cost_tables(costs, ["DCKD", "VanillaKD"])
    assert table.notes[-1] == "teacher passes over training sets: 6 needed by the rows alone, 2 run"


def test_models_that_share_no_rows_are_told_below_the_costs():
    """And a store from before positions were told has none."""
    reason = "padded: BloomForCausalLM has an attention of its own"
    (table,) = cost_tables([replace(COST, positions=9, padded_positions=9, unshared=(reason,))], ["DPO"])
    assert (shown(table, "DPO")["saved_share"].value, shown(table, "DPO")["saved_share"].notes) == (
        0,
        (reason,),
    )
    (old,) = cost_tables([COST], ["DPO"])
    assert shown(old, "DPO")["saved_share"].value is None and shown(old, "DPO")["positions"].value is None


def test_an_answer_is_counted_once_however_many_records_it_has():
    """Two answers and two prompts of OpenLLM, one cut of each; four judgments, one unparsed."""
    cut = {"question": "82", "truncated": True}
    records = [
        RECORD,
        replace(RECORD, judge="gpt-4"),
        replace(RECORD, **cut),
        replace(RECORD, **cut, judge="gpt-4", value=None, status="unparsed"),
        replace(RECORD, benchmark="openllm", metric="primary", judge="", tokens=0),
        replace(RECORD, benchmark="openllm", metric="primary", judge="", tokens=0, **cut),
        replace(RECORD, benchmark="alpaca-eval", question="", value=None, status="not run: no reference"),
    ]
    (table,) = quality_tables(records, [COST], ["DPO"])
    assert shown(table, "DPO") == {
        "rows_dropped": Cell(2.0),
        "rows_truncated": Cell(4.0),
        "answers_truncated": Cell(1, n=2),
        "prompts_truncated": Cell(1, n=2),
        "judgments_unparsed": Cell(1, n=4),
        "template_tokens": Cell(),
    }


def test_quality_counts_verdicts_without_a_judge_and_broken_tokens():
    """A judge's replies are counted by its records; answers that need none by what judging says of them."""
    judged = replace(JUDGING, guarded=2)
    unjudged = replace(JUDGING, benchmark="gsm8k-cot", judge="", judgments=10, unparsed=3)
    (table,) = quality_tables([RECORD], [], ["DPO"], [judged, unjudged])
    assert shown(table, "DPO")["judgments_unparsed"] == Cell(3, n=11)
    assert shown(table, "DPO")["template_tokens"] == Cell(2)


def test_quality_shows_what_is_known_of_records_or_costs_alone():
    (table,) = quality_tables([RECORD], [], ["DPO"])
    assert [c.value for c in table.rows[0].cells] == [None, None, 0, None, 0, None]
    (table,) = quality_tables([], [COST], ["DPO"])
    assert [c.value for c in table.rows[0].cells] == [2.0, 4.0, None, None, None, None]


def test_training_shows_before_and_after_and_the_change_of_the_margin():
    (table,) = training_tables([TRAINING], ["DPO"])
    assert [c.value for c in table.rows[0].cells] == [0.7, 0.5, -3.0, 4.0, 7.0, 0.5, 300]


def test_terms_of_a_loss_are_a_footnote_of_means_over_seeds():
    """sft: (1 + 2) / 2 -> (0 + 1) / 2."""
    rows = [
        replace(TRAINING, terms=(("sft", 1.0, 0.0), ("advantage", -0.1, -0.3))),
        replace(TRAINING, seed=1, terms=(("sft", 2.0, 1.0), ("advantage", -0.1, -0.3))),
    ]
    (table,) = training_tables(rows, ["DPO"])
    assert shown(table, "DPO")["loss_after"].notes == ("advantage -0.100 -> -0.300, sft 1.500 -> 0.500",)


def test_a_loss_that_is_not_finite_is_said_and_not_averaged():
    rows = [TRAINING, replace(TRAINING, seed=1, loss_after=None, margin_after=None)]
    (table,) = training_tables(rows, ["DPO"])
    assert shown(table, "DPO")["loss_after"] == Cell(0.5, notes=("no value in 1 of 2 seeds",))
    assert shown(table, "DPO")["margin_change"] == Cell(7.0, notes=("no value in 1 of 2 seeds",))


def test_margins_are_left_out_where_no_run_measured_them():
    without = replace(TRAINING, margin_before=None, margin_after=None)
    (table,) = training_tables([without], ["DPO"])
    assert [c.name for c in table.columns] == ["loss_before", "loss_after", "moved", "steps"]
    assert [cell.value for cell in table.rows[0].cells] == [0.7, 0.5, 0.5, 300]
    assert not any("margin" in note for note in table.notes)


def test_held_out_columns_stand_where_a_run_measured_them():
    without = replace(TRAINING, margin_before=None, margin_after=None)
    (table,) = training_tables([replace(without, held_before=0.75, held_after=0.25)], ["DPO"])
    assert [c.name for c in table.columns] == [
        "loss_before", "loss_after", "held_before", "held_after", "moved", "steps"
    ]  # fmt: skip
    assert [cell.value for cell in table.rows[0].cells] == [0.7, 0.5, 0.75, 0.25, 0.5, 300]
    assert any(note.startswith("held out:") for note in table.notes)


def test_one_pair_has_held_out_columns_though_another_has_none():
    rows = [replace(TRAINING, pair="b>a", held_before=0.75, held_after=0.25), replace(TRAINING, pair="c>a")]
    names = [[c.name for c in t.columns] for t in training_tables(rows, ["DPO"])]
    assert ["held_after" in of_table for of_table in names] == [True, False]


def test_a_mean_that_a_method_raises_is_named_where_it_stands():
    row = replace(TRAINING, objective="reward", held_before=-1.0, held_after=2.0)
    (table,) = training_tables([row], ["DPO"])
    assert shown(table, "DPO")["held_after"] == Cell(
        2.0, notes=("held out: the mean reward, which the method raises",)
    )


def test_what_was_watched_is_a_footnote_of_means_over_seeds():
    """clipped: (0.25 + 0.75) / 2 -> (0.5 + 1) / 2; one watched mean is shown, one term is not."""
    rows = [
        replace(TRAINING, terms=(("dpo", 1.0, 0.0),), watched=(("clipped", 0.25, 0.5),)),
        replace(TRAINING, terms=(("dpo", 1.0, 0.0),), watched=(("clipped", 0.75, 1.0),), seed=1),
    ]
    (table,) = training_tables(rows, ["DPO"])
    assert shown(table, "DPO")["loss_after"].notes == ("watched: clipped 0.500 -> 0.750",)


def test_warnings_are_notes_that_name_their_method_in_the_order_of_rows():
    warning = "advantages clipped: 63%, over 50%"
    rows = [
        replace(TRAINING, method="B", warnings=(warning, "another")),
        replace(TRAINING, method="A", warnings=(warning,)),
        replace(TRAINING, method="hidden", warnings=(warning,)),
    ]
    (table,) = training_tables(rows, ["A", "B"])
    assert table.notes[-3:] == (f"A: {warning}", f"B: {warning}", "B: another")
    assert not any("hidden" in note for note in table.notes)


def test_a_warning_of_one_seed_or_dataset_of_several_says_which():
    rows = [
        replace(TRAINING, dataset="x"),
        replace(TRAINING, dataset="y", warnings=("late",)),
        replace(TRAINING, dataset="y", seed=1),
    ]
    (table,) = training_tables(rows, ["DPO"])
    assert "DPO (y, seed 0): late" in table.notes


def test_tables_with_nothing_to_show_are_not_built():
    """One method, judged but not against its like: no ablation; its win rate has no Student beside it."""
    one = Rows(records=[RECORD], costs=[COST], training=[TRAINING])
    assert list(build(one)) == ["main", "cost", "training", "quality"]
    held = replace(TRAINING, held_before=1.0, held_after=0.5)
    again = [replace(RECORD, method=m) for m in ("ADPA", "ADPA[top-5]")]
    rows = Rows(records=again, costs=[COST], training=[held])
    built = build(rows)
    assert list(built) == ["main", "ablation", "comparison", "direction", "cost", "training", "quality"]


@pytest.mark.parametrize("tables", [cost_tables, training_tables, lambda r, m: quality_tables([], r, m)])
def test_the_order_of_rows_does_not_matter(tables):
    source = TRAINING if tables is training_tables else COST
    rows = [replace(source, seed=s, method=m, dataset=d) for s in (0, 1) for m in ("A", "B") for d in "xy"]
    first = tables(rows, ["B", "A"])
    assert [(r.dataset, r.method) for r in first[0].rows] == [("x", "B"), ("x", "A"), ("y", "B"), ("y", "A")]
    random.Random(0).shuffle(rows)
    assert tables(rows, ["B", "A"]) == first
