"""Runs as one: a model that both hold is one row, others are told apart by their run, references too."""

from dataclasses import replace

from reports import build as run
from reports.records.merge import merged
from reports.records.rows import KEY_OF, Cost, Count, Record, Repeat, Summary
from reports.records.run_folder import Rows

BASE = Record("a", "p", "d", "DPO", 0, "mt-bench", "score", "", "0", 1, "", "rule", "", 5.0)
COST = Cost("a", "p", "d", "DPO", 0, 1.0, 1.0, 1.0, 1, 0.0, 0, 0, "cpu")


def rows(suite: str, models: dict[str, str], answers: str = "answers") -> Rows:
    measured = []
    for n, (method, model) in enumerate(models.items()):
        one = replace(BASE, suite=suite, method=method, value=float(n))
        wins = replace(one, benchmark="alpaca-eval", metric="win_rate", reference="ADPA", value=0.5)
        for q in range(3):
            measured.append(replace(one, question=str(q), artifacts=(model, f"{answers}-{model}")))
            measured.append(replace(wins, question=str(q), artifacts=(model, f"{model}-{models['ADPA']}")))
    return Rows(records=measured, costs=[replace(COST, suite=suite, method=m) for m in models])


def test_a_model_of_both_runs_is_one_row_and_others_bear_their_run() -> None:
    of = merged({"a": rows("a", {"DPO": "m1", "ADPA": "m2"}), "b": rows("b", {"DPO": "m1", "ADPA": "m3"})})
    (table,) = run.build(of)["main"]
    assert table.title == "Results: a + b, p"
    assert [r.method for r in table.rows] == ["DPO", "ADPA (a)", "ADPA (b)"]
    assert [c.title for c in table.columns] == [
        "MT-Bench", "AlpacaEval WR (%) vs ADPA (a)", "AlpacaEval WR (%) vs ADPA (b)",
    ]  # fmt: skip
    assert [c.value for c in table.rows[0].cells] == [0.0, 0.5, 0.5]
    assert [[c.value for c in r.cells] for r in table.rows[1:]] == [[1.0, 0.5, None], [1.0, None, 0.5]]
    assert [r.method for r in run.build(of)["cost"][0].rows] == ["DPO", "ADPA (a)", "ADPA (b)"]


def test_a_benchmark_that_one_run_could_not_have_makes_no_second_model_of_a_row() -> None:
    one, other = (rows(name, {"DPO": "m1", "ADPA": "m2"}) for name in "ab")
    failed = replace(other.records[0], benchmark="rule", question="", value=None, status="not run: no data")
    of = merged({"a": one, "b": other._replace(records=[*other.records, replace(failed, artifacts=())])})
    (table,) = run.build(of)["main"]
    assert [r.method for r in table.rows] == ["DPO", "ADPA"]
    assert table.rows[0].cells[-1].notes == ("not run: no data",)


def test_worlds_of_one_seed_are_two_models_and_none_is_lost() -> None:
    """Run b holds world 1 alone: as a model by that name it is another, though its seed is a's too."""
    models = {"DPO": "m1", "ADPA": "m2"}
    first, second = rows("a", models), rows("a", {name: f"{m}-again" for name, m in models.items()})
    worlds = [*first.records, *(replace(r, world_seed=1) for r in second.records)]
    both, one = Rows(records=worlds), Rows(records=[replace(r, suite="b") for r in worlds if r.world_seed])
    assert len(merged({"a": both, "b": both}).records) == len(worlds)
    assert {r.world_seed for r in merged({"a": both, "b": one}).records if r.method == "DPO (b)"} == {1}


def test_one_run_each_of_other_seeds_or_base_models_replicates_nothing() -> None:
    """Two seeds, or two base models, of two runs: no row was trained twice."""
    models = {"DPO": "m1", "ADPA": "m2"}
    first, second = rows("a", models), rows("b", {name: f"{m}-again" for name, m in models.items()})
    for replicate in ({"seed": 1}, {"world_seed": 1}):
        other = Rows(records=[replace(r, **replicate) for r in second.records])
        of = merged({"a": first, "b": other})
        notes = "\n".join(run.build(of)["main"][0].notes)
        assert "conditional on this checkpoint" in notes and "replicates" not in notes
        assert run.verdict(of)[0].startswith("One run a method: ")


def test_what_a_step_lost_is_counted_once_for_all_runs_that_stand_on_it() -> None:
    shared = Count("a", "p", "d", "rows dropped", "pairs-1", "train pairs", 2, 96)
    own = replace(shared, suite="b", step="pairs-2", count=1)
    unknown = replace(shared, name="overlap with", step="", benchmark="x", count=None, total=0, note="no hub")
    runs = {"a": (shared, unknown), "b": (replace(shared, suite="b"), own)}
    models = {"DPO": "m1", "ADPA": "m2"}
    of = merged({name: rows(name, models)._replace(counts=own) for name, own in runs.items()})
    line = run.build(of)["main"][0].notes[-1]
    assert line == "health: rows dropped 3 of 192; overlap with x not counted; questions half-judged 0 of 6"


def test_a_run_with_itself_is_that_run() -> None:
    one = rows("a", {"DPO": "m1", "ADPA": "m2"})
    of = merged({"a": one, "b": one})
    assert len(of.records) == len(one.records) and of.methods() == one.methods()


def test_one_model_that_was_asked_in_another_way_is_two_rows() -> None:
    a, b = rows("a", {"ADPA": "m1"}), rows("b", {"ADPA": "m1"}, answers="other")
    assert merged({"a": a, "b": b}).methods() == {"p": ["ADPA (a)", "ADPA (b)"]}


def test_one_model_of_which_the_runs_say_other_numbers_is_two_rows() -> None:
    """Each with its own, whichever run is named first."""
    a = rows("a", {"DPO": "m1", "ADPA": "m2"})
    first, *others = a.records
    b = a._replace(records=[replace(first, value=9.0), *others])
    for runs in ({"a": a, "b": b}, {"b": b, "a": a}):
        of = merged(runs)
        assert sorted(of.methods()["p"]) == ["ADPA", "DPO (a)", "DPO (b)"]
        values = {r.method: r.value for r in of.records if KEY_OF[Record](r)[6:] == KEY_OF[Record](first)[6:]}
        assert values["DPO (a)"] == 0.0 and values["DPO (b)"] == 9.0


def test_one_model_whose_own_numbers_are_others_is_two_rows() -> None:
    mean = Summary("a", "p", "d", "DPO", 0, "mt-bench", "rule", "", "score", 5.0)
    a = rows("a", {"DPO": "m1", "ADPA": "m2"})._replace(summaries=[mean])
    same, b = replace(mean, suite="b"), a._replace(summaries=[replace(mean, value=6.0)])
    assert merged({"a": a, "b": a._replace(summaries=[same])}).methods() == a.methods()
    of = merged({"a": a, "b": b})
    assert [(s.method, s.value) for s in of.summaries] == [("DPO (a)", 5.0), ("DPO (b)", 6.0)]


def test_repeats_go_with_their_records() -> None:
    """Of a model of both runs they stand there once, with the name of the reference that they are against."""
    again = Repeat(
        "a", "p", "d", "DPO", 0, "alpaca-eval", "rule", "ADPA", "win_rate", "", "0", 1, "", 1, "9f", 0.5
    )
    runs = {"a": rows("a", {"DPO": "m1", "ADPA": "m2"}), "b": rows("b", {"DPO": "m1", "ADPA": "m3"})}
    of = merged({name: own._replace(repeats=[replace(again, suite=name)]) for name, own in runs.items()})
    assert [(r.suite, r.method, r.reference) for r in of.repeats] == [
        ("a + b", "DPO", "ADPA (a)"), ("a + b", "DPO", "ADPA (b)"),
    ]  # fmt: skip
    same = merged({name: runs["a"]._replace(repeats=[again]) for name in "ab"})
    assert len(same.repeats) == 1
