"""A run without replicates takes its chance of training from another run's same columns, and says so."""

from dataclasses import replace

import numpy as np
import pytest

from reports import build
from reports.records.merge import merged
from reports.records.rows import Record
from reports.records.run_folder import Rows
from reports.tables.columns import ONE_SEED, SINGLE
from reports.tables.table import Table
from tests.reports.tables.reading import cells
from tests.reports.verdict.made_up import paid

PAID = [replace(c, suite="s", pair="p") for c in paid("ABCDEF", "d")]
RECORD = Record("s", "p", "d", "", 0, "mt-bench", "score", "c", "", 1, "", "rule", "", 0.0)


def drawn(seeds: int, worlds: int = 1, tau: float = 0.3, methods: str = "ABCDEF", **fields) -> list[Record]:
    """Trainings that differ by `tau`, on the same 60 questions; the Student is one of each base model."""
    rng = np.random.default_rng([seeds, worlds])
    asked = rng.standard_normal(60)
    rows = []
    for m in methods:
        own = (ord(m) - ord("A")) / 2 + asked + 0.3 * rng.standard_normal(60)
        for w in range(worlds):
            for s in range(seeds):
                x = own + tau * rng.standard_normal() + 0.2 * rng.standard_normal(60)
                rows += [
                    replace(
                        RECORD, method=m, seed=s, world_seed=w, question=f"{q:02}", value=float(v),
                        artifacts=(f"{m}{w}{s}",), **fields,
                    )
                    for q, v in enumerate(x)
                ]  # fmt: skip
    return [
        *rows,
        *(replace(r, method="Student", artifacts=(str(r.world_seed),)) for r in rows if r.method == "A"),
    ]


def compared(rows: Rows) -> Table:
    return build.compared(rows, "A")[0]


def width(table: Table, method: str = "B") -> float:
    cell = cells(table, "less A")[method]
    return cell.high - cell.low


def test_intervals_are_over_trainings_and_the_note_says_whose():
    alone = Rows(records=drawn(1))
    borrowing = build.borrowing(alone, "long", Rows(records=drawn(3)))
    assert width(compared(alone)) < 0.4
    # 2 x 1.96 sqrt(2) 0.3 is 1.66; what 6 methods of 3 seeds leave open makes it wider.
    assert 1.4 < width(compared(borrowing)) < 3
    words = (
        "the chance of training is taken from run long: 3 seeds of the last stage, "
        "base models not replicated, of 6 methods"
    )
    assert any(words in note for note in compared(borrowing).notes)
    assert not any(SINGLE in note for note in compared(borrowing).notes)
    main = build.build(borrowing)["main"][0]
    assert any(words in note for note in main.notes) and not any(ONE_SEED in note for note in main.notes)


def test_the_verdict_says_so_too():
    alone = Rows(records=drawn(1, tau=0.02))
    (told,) = build.verdict(build.borrowing(alone, "long", Rows(records=drawn(5, tau=0.02))))
    assert told.startswith("F leads on MT-Bench") and "chance taken from another run's" in told
    assert "F has the highest score" in build.verdict(alone)[0]


def test_nothing_is_bold_that_trainings_may_have_made():
    """F is half a point above E, two standard deviations of a training and far more of the questions."""
    marks = {}
    for name, tau in (("small", 0.02), ("large", 0.5)):
        rows = build.borrowing(Rows(records=drawn(1, tau=0.02)), name, Rows(records=drawn(5, tau=tau)))
        marks[name] = [c.mark for c in cells(build.build(rows)["main"][0], "MT-Bench").values()]
    assert "best" in marks["small"] and set(marks["large"]) == {""}
    assert {c.mark for c in cells(build.build(Rows(records=drawn(1)))["main"][0], "MT-Bench").values()} == {
        ""
    }


def test_a_row_that_is_one_model_in_the_lender_has_no_chance_of_training():
    rows = build.borrowing(Rows(records=drawn(1)), "long", Rows(records=drawn(3)))
    table = build.build(rows)["main"][0]
    widths = {m: c.high - c.low for m, c in cells(table, "MT-Bench").items()}
    assert widths["Student"] < widths["A"] - 0.3


def test_nor_has_a_base_model_of_one_seed_in_a_lender_of_which_one_row_has_several():
    long = [r for r in drawn(5) if r.method == "A" or not r.seed]
    table = build.build(build.borrowing(Rows(records=drawn(1)), "long", Rows(records=long)))["main"][0]
    widths = {m: c.high - c.low for m, c in cells(table, "MT-Bench").items()}
    assert widths["Student"] < widths["A"] - 0.3


def test_rows_of_several_runs_lend_to_those_of_one_but_not_to_base_models():
    """Which are one model whatever the number of their seeds, where seeds alone were replicated."""
    records = [r for r in drawn(5) if r.method == "A" or r.seed == 0]
    records = [r for r in records if r.method != "Student" or r.seed == 0]
    table = build.build(Rows(records=records))["main"][0]
    widths = {m: c.high - c.low for m, c in cells(table, "MT-Bench").items()}
    assert widths["B"] > widths["Student"] + 0.3
    told = "of one run, its training's chance taken from the others': B, C, D, E, F; replicates"
    assert any(told in note for note in table.notes)


def test_base_models_have_no_chance_of_training_by_whatever_name_and_in_however_many_worlds():
    """Merged runs name theirs by run; a model from outside is there once among several base models."""
    long, short = ([r for r in drawn(5) if r.seed < seeds] for seeds in (5, 1))
    short = [replace(r, artifacts=(f"b{r.artifacts[0]}",)) if r.method == "Student" else r for r in short]
    short = [r for r in short if r.method in ("Student", "A")]
    tables = [
        build.build(merged({"a": Rows(records=long), "b": Rows(records=short)}))["main"][0],
        build.build(Rows(records=[r for r in drawn(1, 5) if r.method != "Student" or not r.world_seed]))[
            "main"
        ][0],
    ]
    for table, student in zip(tables, ("Student (b)", "Student"), strict=True):
        widths = {m: c.high - c.low for m, c in cells(table, "MT-Bench").items()}
        assert widths[student] < widths["B"]
        assert not any(student in note.partition("taken from the others'")[2] for note in table.notes)


def test_what_the_lender_lacks_stays_one_run_a_method():
    other = drawn(1, benchmark="rule")
    rows = build.borrowing(Rows(records=[*drawn(1), *other]), "long", Rows(records=drawn(3)))
    notes = build.build(rows)["main"][0].notes
    assert any(f"Rule score: {SINGLE}" in note for note in notes)
    (lent,) = [note for note in notes if note.startswith("intervals of MT-Bench: ")]
    (alone,) = [note for note in notes if note.startswith("intervals of Rule score: ")]
    assert "taken from run long" in lent and ONE_SEED not in lent
    assert ONE_SEED in alone and "taken from" not in alone
    first, second = build.compared(rows, "A")
    assert any(SINGLE in note for t in (first, second) for note in t.notes if "Rule" in t.title)
    assert not any(SINGLE in note for t in (first, second) for note in t.notes if "MT-Bench" in t.title)


def test_a_run_with_replicates_of_its_own_takes_none():
    own = Rows(records=drawn(3))
    assert compared(build.borrowing(own, "long", Rows(records=drawn(5, tau=3.0)))) == compared(own)


def test_of_several_base_models_all_that_two_runs_may_differ_by_is_lent():
    rows = build.borrowing(Rows(records=drawn(1)), "study", Rows(records=drawn(2, worlds=4)))
    told = "4 base models x 1 seed of the last stage, of 7 methods"
    assert any(told in note for note in compared(rows).notes)


def test_what_base_models_do_to_all_is_lent_to_means_and_to_no_difference_of_two():
    still = drawn(1, worlds=4)
    moved = [replace(r, value=r.value + 2 * r.world_seed) for r in still]
    tables = [build.borrowing(Rows(records=drawn(1)), "study", Rows(records=r)) for r in (still, moved)]
    quiet, wide = (cells(build.build(t)["main"][0], "MT-Bench")["B"] for t in tables)
    assert wide.high - wide.low > 3 * (quiet.high - quiet.low)
    assert width(compared(tables[1])) == pytest.approx(width(compared(tables[0])), rel=0.01)


def test_a_reference_lends_what_its_training_does_to_all():
    """Win rates of a single run against R: R's training is in their means and in no difference of two."""

    def wins(seeds: int, moved: float) -> list[Record]:
        rows = [r for r in drawn(seeds, tau=0.02, benchmark="alpaca-eval", metric="win_rate", reference="R")]
        rows = [
            replace(r, value=0.5 + r.value / 10 + moved * (r.seed - 1)) for r in rows if r.method != "Student"
        ]
        return [*rows, *(replace(r, method="R", value=0.5) for r in rows if r.method == "A")]

    alone = Rows(records=wins(1, 0.0))
    table = build.build(build.borrowing(alone, "long", Rows(records=wins(3, 0.1))))["main"][0]
    still = build.build(build.borrowing(alone, "long", Rows(records=wins(3, 0.0))))["main"][0]
    (moved,), (quiet,) = ([c.high - c.low for c in (t.rows[0].cells[0],)] for t in (table, still))
    assert moved > 2 * quiet


def test_notes_say_which_column_takes_from_how_many_methods_on_which_data():
    """The lender's Rule score has four methods where its MT-Bench has six, and on data e five."""
    rule = {"benchmark": "rule"}
    long = [*drawn(3), *drawn(3, methods="ABCD", **rule), *drawn(3, methods="ABCDE", dataset="e", **rule)]
    short = [*drawn(1), *drawn(1, **rule), *drawn(1, dataset="e", **rule)]
    table = build.build(build.borrowing(Rows(records=short), "long", Rows(records=long)))["main"][0]
    words = (
        "the chance of training is taken from run long: 3 seeds of the last stage, base models not replicated"
    )
    told = [note for note in table.notes if note.startswith("intervals")]
    assert [note.partition(":")[0] for note in told] == ["intervals of MT-Bench", "intervals of Rule score"]
    assert told[0].endswith(f"; {words}, of 6 methods")
    assert told[1].endswith(f"; on d: {words}, of 4 methods; on e: {words}, of 5 methods")


@pytest.mark.parametrize(("own", "lent"), [(5.0, None), (5.0, 4.0)])
def test_a_column_whose_values_are_all_alike_takes_nothing_and_says_one_run_a_method_once(own, lent):
    """Whether or not the lender's trainings differ: nothing vouches for an interval over them."""
    rule = {"benchmark": "rule"}
    short = [*drawn(1), *(replace(r, value=own) for r in drawn(1, **rule))]
    long = [replace(r, value=r.value if lent is None else lent) for r in drawn(3, **rule)]
    rows = build.borrowing(Rows(records=short, costs=PAID), "long", Rows(records=[*drawn(3), *long]))
    notes = build.build(rows)["main"][0].notes
    assert [note for note in notes if "intervals of Rule score" in note] == [
        f"intervals of Rule score: 95 % bootstrap over questions, B = 5,000, seed 0, paired; {ONE_SEED}"
    ]
    (told,) = build.verdict(rows)
    assert told.count("One run a method") == 1
    assert "taken from another run's. Without it A, B, C and 4 others have the highest score" in told


def test_a_lender_of_trainings_that_do_not_differ_lends_that_they_do_not():
    long = [replace(r, seed=s, artifacts=(f"{r.method}{s}",)) for s in range(3) for r in drawn(1)]
    rows = build.borrowing(Rows(records=drawn(1), costs=PAID), "long", Rows(records=long))
    assert width(compared(rows)) < 0.4
    (told,) = build.verdict(rows)
    assert told.count("One run a method") == 1 and told.count("ne training each") == 0
    assert not any(
        SINGLE in n or ONE_SEED in n for t in (compared(rows), build.build(rows)["main"][0]) for n in t.notes
    )


def test_rows_that_are_measured_as_they_are_take_and_lend_nothing():
    """They belong to no data set: nothing of theirs is trained."""
    as_they_are = {"pair": "models", "dataset": ""}
    seeds = [replace(r, **as_they_are) for r in drawn(3)]
    rows = build.borrowing(
        Rows(records=[replace(r, **as_they_are) for r in drawn(1)]), "long", Rows(records=drawn(3))
    )
    table = build.build(rows)["main"][0]
    assert not any("taken from" in note for note in table.notes) and SINGLE in table.notes
    with pytest.raises(ValueError, match="no method of it was trained more than once"):
        build.borrowing(Rows(records=drawn(1)), "models", Rows(records=seeds))


def test_a_reference_that_alone_is_trained_lends_what_it_does_to_base_models():
    def wins(seeds: int, moved: float) -> list[Record]:
        of = {"benchmark": "alpaca-eval", "metric": "win_rate", "reference": "R"}
        rows = [r for r in drawn(seeds, tau=0.0, methods="A", **of) if r.method == "Student"]
        rows = [
            replace(r, value=0.5 + r.value / 10 + moved * (r.seed - 1), artifacts=("base",)) for r in rows
        ]
        return [*rows, *(replace(r, method="R", value=0.5, artifacts=(f"R{r.seed}",)) for r in rows)]

    borrowing = build.borrowing(Rows(records=wins(1, 0.0)), "long", Rows(records=wins(3, 0.1)))
    table = build.build(borrowing)["main"][0]
    assert any("base models not replicated, of the reference" in note for note in table.notes)
    cell = table.rows[0].cells[0]
    assert cell.high - cell.low > 0.3


def test_a_lender_without_replicates_is_refused():
    with pytest.raises(ValueError, match="short: no method of it was trained more than once"):
        build.borrowing(Rows(records=drawn(1)), "short", Rows(records=drawn(1)))
