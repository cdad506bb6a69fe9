"""What a column's numbers vary by, as a table, and what more would buy: from records that are drawn."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from reports import build
from reports.records.groups import grouped
from reports.records.rows import Record, Repeat
from reports.records.run_folder import Rows
from reports.render import to_csv, to_markdown, to_terminal
from reports.statistics.bootstrap import Draw
from reports.statistics.planning import detectable
from reports.tables import columns
from reports.tables.column_noise import ColumnNoise, column_noise
from reports.tables.comparison import comparison_tables
from reports.tables.noise import _shares
from reports.tables.table import Cell, Table

RECORD = Record("s", "p", "d", "", 0, "mt-bench", "score", "c", "", 1, "", "gpt-4", "", 0.0)
REPEAT = Repeat("s", "p", "d", "", 0, "mt-bench", "gpt-4", "", "score", "c", "", 1, "", 1, "", 0.0)


def drawn(
    methods: int = 4, worlds: int = 1, seeds: int = 3, questions: int = 30, start: int = 0, **fields
) -> list[Record]:
    """Of MT-Bench in the pocket world, seeds as far apart as questions make a mean."""
    rng = np.random.default_rng([methods, worlds, seeds, start])
    normal, tau = rng.standard_normal, np.sqrt((0.787**2 + 0.993**2 / seeds) / questions)
    trained = tau * np.exp(0.5 * normal((methods, 1, 1))) * normal((methods, worlds, seeds))
    x = 5 + 1.531 * normal(questions) + 0.787 * normal((methods, 1, 1, questions)) + trained[..., None]
    x += 0.993 * normal(x.shape)
    return [
        replace(
            RECORD,
            method=f"M{m:02}",
            seed=s,
            world_seed=w,
            question=str(q),
            value=float(value),
            artifacts=(f"{m}-{w}-{s}",),
            **fields,
        )
        for (m, w, s, q), value in np.ndenumerate(x)
    ]


def of_column(records: Sequence[Record]) -> ColumnNoise:
    (column,) = columns.find(grouped(records))
    found = column_noise(column, "d", sorted({r.method for r in records}), None)
    assert found is not None
    return found


def shown(table: Table) -> dict[str, dict[str, Cell]]:
    heads = [c.title for c in table.columns]
    return {row.method: dict(zip(heads, row.cells, strict=True)) for row in table.rows}


def printed(table: Table, head: str) -> list[float]:
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    at = cells[0].index(head)
    return [float(row[at]) for row in cells[2:]]


@pytest.mark.parametrize(("worlds", "seeds"), [(1, 3), (1, 1), (3, 1), (3, 2)])
def test_the_shares_that_are_printed_sum_to_100_percent(worlds: int, seeds: int):
    table = build.noise(Rows(records=drawn(worlds=worlds, seeds=seeds)))[0]
    for head in ("Of a value (%)", "Of a mean (%)", "Of a difference (%)"):
        *parts, total = printed(table, head)
        assert total == 100.0 and sum(parts) == pytest.approx(100.0)
    *parts, total = (cells["SD of a value"].value for cells in shown(table).values())
    assert total == pytest.approx(np.sqrt(sum(x * x for x in parts)))


def test_rounded_shares_are_a_whole():
    assert _shares([1.0, 1.0, 1.0]) == [0.334, 0.333, 0.333]
    assert _shares([0.0, 0.0]) == [0.0, 0.0]


def test_what_moves_all_methods_alike_is_in_no_difference():
    of = shown(build.noise(Rows(records=drawn()))[0])
    assert list(of) == ["question", "method x question", "seed", "residual", "all"]
    assert of["question"]["Of a difference (%)"].value == 0
    assert of["question"]["Of a mean (%)"].value > 0.3


def test_a_reference_that_is_trained_is_a_source_of_its_own():
    """Its training moves each win rate by as much."""
    records = drawn(benchmark="alpaca-eval", metric="win_rate", reference="R", judge="rule")
    moved = [replace(r, value=0.5 + r.value / 20 + r.seed / 10) for r in records]
    reference = [replace(r, method="R", value=0.5) for r in records if r.method == "M00"]
    of = shown(build.noise(Rows(records=[*moved, *reference]))[0])
    assert "seed of the reference" in of and of["seed of the reference"][
        "SD of a value"
    ].value == pytest.approx(0.1, abs=0.02)
    assert of["seed"]["SD of a value"].value < 0.03


def test_an_estimate_below_0_is_0_and_said():
    """Seeds whose means are all alike say less than their questions' noise lets expect."""
    records = drawn()
    means = {(r.method, r.seed): 0.0 for r in records}
    for r in records:
        means[r.method, r.seed] += r.value / 30
    table = build.noise(Rows(records=[replace(r, value=r.value - means[r.method, r.seed]) for r in records]))[
        0
    ]
    assert shown(table)["seed"]["SD of a value"] == Cell(0.0, notes=("estimated below 0, taken as 0",))


def test_judge_repeats_are_a_part_of_the_residual_and_one_more_is_planned():
    records = drawn()
    again = [
        replace(
            REPEAT,
            method=r.method,
            seed=r.seed,
            question=r.question,
            request=str(i),
            value=r.value + (-1) ** i,
        )
        for i, r in enumerate(records)
    ]
    without, given = (build.noise(Rows(records=records, repeats=own)) for own in ((), again))
    of = shown(given[0])
    assert of["judge"]["SD of a value"].value == pytest.approx(np.sqrt(0.5))
    parts = (of[name]["SD of a value"].value ** 2 for name in ("residual", "judge"))
    assert sum(parts) == pytest.approx(shown(without[0])["residual"]["SD of a value"].value ** 2)
    assert "1 more judge repeat" in shown(given[1]) and "1 more judge repeat" not in shown(without[1])
    assert any("no verdict was asked for again" in note for note in without[0].notes)


def test_more_of_anything_makes_intervals_shorter_and_what_can_be_found_smaller():
    more = shown(build.noise(Rows(records=drawn(worlds=3)))[1])
    assert list(more) == ["as it is", "1 more seed", "1 more base model", "100 more questions"]
    for head in ("Half-width", "MDE, one pair", "MDE, of 6 pairs"):
        now, *others = (cells[head].value for cells in more.values())
        assert all(other < now for other in others)
    now, then = (more[name]["Half-width"].value for name in ("as it is", "1 more seed"))
    assert more["1 more seed"]["less by (%)"].value == pytest.approx(1 - then / now)


def test_a_difference_is_that_of_the_first_two_or_in_the_unit_that_is_printed():
    records = drawn(benchmark="openllm", metric="primary", judge="", group="arc", seeds=4)
    records = [replace(r, value=r.value / 10 + 0.2 * (r.method == "M02")) for r in records]
    (first,) = shown(build.noise(Rows(records=records))[2]).items()
    assert first[0].startswith("M02 less M") and 0.1 < first[1]["Difference"].value < 0.4
    (asked,) = shown(build.noise(Rows(records=records), 30.0)[2]).items()
    assert asked[0] == "asked for" and asked[1]["Difference"].value == 0.3
    assert asked[1]["Seeds, one pair"].value <= asked[1]["Seeds, of 6 pairs"].value
    (never,) = shown(build.noise(Rows(records=records), 0.1)[2]).values()
    assert never["Seeds, one pair"].value is None and "not by 1,000" in never["Seeds, one pair"].notes[0]


def test_what_is_left_out_is_counted_and_named():
    records = [r for r in drawn(worlds=2) if (r.method, r.world_seed) != ("M01", 1)]
    records = [r for r in records if (r.method, r.seed, r.question) != ("M00", 0, "7")]
    student = [replace(r, method="Student", artifacts=("one",)) for r in records if r.method == "M00"]
    table = build.noise(Rows(records=[*records, *student]))[0]
    assert table.notes[0].startswith("over 3 trained rows and the 29 questions")
    assert "(1 items left out)" in table.notes[0]
    assert "left out, as others have more base models: M01" in table.notes


def test_one_run_a_method_has_what_it_can_have_and_no_plan():
    tables = build.noise(Rows(records=drawn(seeds=1)))
    assert len(tables) == 1
    assert list(shown(tables[0])) == ["question", "method x question, and residual", "all"]
    assert any(note.startswith("one run a method") for note in tables[0].notes)


def test_two_degrees_of_freedom_are_no_ground_for_a_plan():
    """A single method of 3 seeds among others of one: its variance's posterior has no mean."""
    records = [r for r in drawn() if r.method == "M00" or r.seed == 0]
    tables = build.noise(Rows(records=records))
    assert len(tables) == 1 and "seed" in shown(tables[0])
    assert any("too little, with 2 degrees of freedom" in note for note in tables[0].notes)
    assert len(build.noise(Rows(records=drawn(methods=2)))) == 3


def planned_why(records: Sequence[Record]) -> list[str]:
    """What the notes say of a plan that there is not."""
    tables = build.noise(Rows(records=records))
    assert len(tables) == 1
    return [note for note in tables[0].notes if "nothing planned" in note]


@pytest.mark.parametrize("apart", [0, 1])
@pytest.mark.parametrize(("worlds", "seeds"), [(1, 3), (3, 2)])
def test_values_that_are_all_alike_are_the_reason_of_no_plan(worlds: int, seeds: int, apart: int):
    """Of 16 degrees of freedom, too: rows of one value each, whether or not it is that of all."""
    rows = drawn(worlds=worlds, seeds=seeds)
    alike = [replace(r, value=4.0 + apart * (r.method == "M00")) for r in rows]
    assert planned_why(alike) == ["nothing planned: no row's values vary, over questions or runs"]


def test_merged_runs_of_one_seed_each_are_one_run_a_method():
    rows = [replace(r, seed=int(r.method == "M00")) for r in drawn(seeds=1)]
    assert [why.partition(":")[0] for why in planned_why(rows)] == ["one run a method"]


def test_seeds_that_no_two_rows_share_say_nothing_where_the_reference_moves_all():
    fields = {"benchmark": "alpaca-eval", "metric": "win_rate", "reference": "R", "judge": "rule"}
    wins = [replace(r, value=0.5 + r.value / 20) for r in drawn(seeds=4, **fields)]
    wins = [
        r for r in wins if r.seed in {"M00": (0, 1), "M01": (1, 2), "M02": (0, 1, 2)}.get(r.method, (1, 2))
    ]
    reference = [replace(r, method="R", value=0.5) for r in wins if r.method == "M02"]
    assert planned_why([*wins, *reference]) == ["nothing planned: no two seeds are of all rows"]


def test_answers_that_are_all_alike_have_zeros_and_no_estimate_below_0():
    records = [replace(r, value=int(r.question) % 3 / 7) for r in drawn()]
    sds = {m: c["SD of a value"] for m, c in shown(build.noise(Rows(records=records))[0]).items()}
    assert all(sds[m] == Cell(0.0) for m in ("method x question", "seed", "residual"))
    assert sds["question"].value > 0.1


def test_a_single_row_has_no_components_in_any_format():
    (table,) = build.noise(Rows(records=drawn(methods=1)))
    assert "no two rows" in to_terminal(table) and "no two rows" in to_markdown(table)
    assert to_csv(table).startswith("dataset,")


def test_the_planner_is_that_of_the_comparison():
    """The mean over pairs of its MDE and half-width, which know each pair's own questions."""
    records = drawn(methods=8, questions=100)
    noise, methods = of_column(records), sorted({r.method for r in records})
    mdes, widths = [], []
    for baseline in methods:
        (table,) = comparison_tables(records, methods, baseline, Draw(2))
        cells = [c for m, c in shown(table).items() if m != baseline]
        mdes += [c["MDE"].value for c in cells]
        widths += [(c[f"less {baseline}"].high - c[f"less {baseline}"].low) / 2 for c in cells]
    plan = shown(build.noise(Rows(records=records))[1])["as it is"]
    assert plan["MDE, one pair"].value == pytest.approx(np.mean(mdes), rel=0.08)
    assert plan["Half-width"].value == pytest.approx(np.mean(widths), rel=0.08)
    assert plan["MDE, one pair"].value == detectable(noise.design(noise.effort))


def power(methods: int, seeds: int, runs: int, questions: int) -> float:
    """How often a test of one run finds the difference that another run's planner promised 80 % for."""
    planned = [of_column(drawn(methods, 1, seeds, questions, start)) for start in range(runs)]
    found = []
    for plan, run in pairwise(planned):
        promised, chance = detectable(plan.design(plan.effort)), run.scores.chance
        means = chance.sample.values.mean(1)
        for a, b in combinations(range(methods), 2):
            differences = means[a] - means[b] + promised * np.array([-1, 1])
            found += list(chance.of_difference(a, b).p(differences) < 0.05)
    return float(np.mean(found))


def test_a_promise_of_80_percent_is_kept():
    """12 runs of 5 methods know it to 0.04."""
    assert 0.70 <= power(5, 3, 13, 40) <= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_promise_of_80_percent_is_kept_by_14_methods(seeds: int):
    """30 runs, whose 182 differences go together, know it to 0.015."""
    assert 0.76 <= power(14, seeds, 31, 160) <= 0.88
