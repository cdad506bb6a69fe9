"""Verdicts of made-up records, read word by word."""

from dataclasses import replace

import pytest

from reports import build
from reports.records.merge import merged
from reports.records.rows import Summary
from reports.records.run_folder import Rows
from reports.verdict.words import to_terminal
from tests.reports.verdict.made_up import failed, scores, told

GROUP = {"Teacher": 5.0, "Student": 3.0, "SFT": 3.3, "DPO": 3.8, "ADPA": 4.5}
LED = (
    "ADPA leads on MT-Bench (4.57). 3 seeds of the last stage, base models not replicated.\n"
    "ADPA is above the Student by 1.50 [1.40, 1.59] on MT-Bench (74 % of the Teacher's gap).\n"
    "Training, with the teacher's work: ADPA 3.0e9 FLOPs, 3.0 times those of SFT."
)


def test_a_clear_leader():
    assert told(scores(GROUP)) == [LED]


def test_a_leader_that_is_above_the_teacher():
    (words,) = told(scores(GROUP | {"ADPA": 6.0}))
    assert "ADPA is above the Student by 3.00 [2.90, 3.09] on MT-Bench (above the Teacher)." in words


def test_a_leader_that_is_not_told_from_some():
    assert told(scores(GROUP | {"DPO": 4.49, "PAD": 4.48, "SFT": 4.47, "X": 4.46, "Y": 4.45}))[0].startswith(
        "ADPA has the highest score on MT-Bench (4.57), not told from DPO, PAD, Y and 2 others and above the "
        "Student. 3 seeds of the last stage, base models not replicated.\nADPA is above the Student by 1.50 "
    )


def test_two_columns_with_one_leader_that_is_not_told_from_another():
    means = dict.fromkeys(["Student", "SFT", "PAD", "KTO", "IPO", "WPO"], 3.0) | {"ADPA": 4.5, "DPO": 4.49}
    rows = scores(means) + [replace(r, benchmark="rule") for r in scores(means)]
    assert told(rows)[0].startswith(
        "DPO has the highest score on MT-Bench (4.59) and Rule score (4.59), not told from ADPA and above "
        "all others. "
    )


def test_nothing_is_told_apart():
    names = ["Teacher", "Student", "SFT", "DPO", "ADPA", "PAD"]
    assert told(scores(dict.fromkeys(names, 3.0) | {"Teacher": 4.0})) == [
        "On MT-Bench nothing tells the 4 methods and the Student apart. 3 seeds of the last stage, base "
        "models not replicated."
    ]
    alike = [replace(r, method=m) for m in ("DPO", "ADPA") for r in scores({"DPO": 3.0})]
    assert told(alike) == [
        "On MT-Bench nothing tells ADPA from DPO. 3 seeds of the last stage, base models not replicated."
    ]


def test_base_models_of_a_run_each_are_not_replicates() -> None:
    first, second = scores({"DPO": 3.0, "ADPA": 4.0}), scores({"PAD": 3.0, "KTO": 3.0}, rng=1, world_seed=1)
    (words,) = told([*first, *second])
    assert "3 seeds of the last stage, base models not replicated." in words


def test_one_run_a_method_has_the_highest_score_and_is_no_better():
    records = [
        *scores(GROUP, seeds=1),
        *scores(GROUP | {"DPO": 9.0}, seeds=1, benchmark="rule"),
        *scores(GROUP, seeds=1, benchmark="reward", metric="reward"),
    ]
    assert told(records) == [
        "One run a method: ADPA has the highest score on MT-Bench (4.58) and Reward (4.58), DPO on Rule "
        "score (9.04); which method is better cannot be said from one training each."
    ]


def test_models_that_nobody_trained_here_are_checkpoints():
    assert told(scores({"llama": 4.0, "qwen": 6.0}, seeds=1), trained=()) == [
        "One checkpoint a model: qwen has the highest score on MT-Bench (6.02); which model is better cannot "
        "be said from one training each."
    ]


def test_one_run_beside_several_is_said_column_by_column_and_row_by_row():
    (words,) = told([*scores(GROUP), *scores(GROUP, seeds=1, benchmark="rule")])
    assert words.startswith(
        "ADPA leads on MT-Bench (4.57). 3 seeds of the last stage, base models not replicated. One run a "
        "method: ADPA has the highest score on Rule score (4.58); which method is better cannot be said from "
        "one training each.\nADPA is above the Student by"
    )
    few = [r for r in scores(GROUP) if r.seed == 0 or r.method in ("Teacher", "Student", "SFT")]
    assert (
        "3 seeds of the last stage, base models not replicated; of one run, its training's chance taken from "
        "the others': DPO and ADPA."
    ) in told(few)[0]


def test_several_runs_of_one_column_beside_one_whose_chance_is_taken_from_another_run():
    rows = Rows(records=[*scores(GROUP), *scores(GROUP, seeds=1, benchmark="rule")])
    lender = Rows(records=scores(GROUP, seeds=5, benchmark="rule"))
    (words,) = build.verdict(build.borrowing(rows, "long", lender))
    assert words.startswith(
        "ADPA leads on MT-Bench (4.57) and Rule score (4.58). 3 seeds of the last stage, base models not "
        "replicated; on Rule score one run a method, its training's chance taken from another run's.\nADPA"
    )


def test_a_row_of_several_runs_on_one_of_several_base_models_is_not_of_one_run():
    """Nor in the tables: of its three runs none says how far base models move it."""
    records = scores(GROUP, seeds=3, worlds=3)
    records = [r for r in records if r.method not in ("DPO", "SFT") or r.world_seed == 0]
    records = [r for r in records if r.method != "SFT" or r.seed == 0]
    one = "of one run, its training's chance taken from the others': SFT"
    base = "on one base model, its training's chance taken from those on several: DPO"
    (words,) = told(records)
    assert f"; {one}; {base}.\n" in words or f"; {base}; {one}.\n" in words
    rows = Rows(records=records)
    for table in (build.build(rows)["main"][0], build.compared(rows, "Student")[0]):
        notes = "; ".join(table.notes)
        assert one in notes and base in notes


@pytest.mark.parametrize("seeds", [1, 3])
def test_rows_that_are_constant_and_unlike_are_not_said_to_be_alike(seeds: int):
    """Nor is one said to be better: their tests are of checkpoints, whose letters differ."""
    means = {"SFT": 3.0, "DPO": 4.0, "ADPA": 4.0}
    records = [replace(r, value=means[r.method]) for r in scores(means, seeds)]
    (words,) = told(records)
    (table,) = build.compared(Rows(records=records), "SFT")
    at = [c.title for c in table.columns].index("Group")
    letters = {row.method: row.cells[at].value for row in table.rows}
    assert letters == {"SFT": "b", "DPO": "a", "ADPA": "a"}
    assert words.startswith(
        "ADPA and DPO have the highest score on MT-Bench (4.00), where nothing says how far trainings lie "
        "apart. 3 seeds of the last stage, base models not replicated."
        if seeds > 1
        else "One run a method: ADPA and DPO have the highest score on MT-Bench (4.00); which method"
    )
    alike = [replace(r, value=4.0) for r in records]
    if seeds > 1:
        assert told(alike)[0].startswith("On MT-Bench nothing tells ADPA, DPO and SFT apart. 3 seeds")


def test_two_worlds_of_two_seeds():
    (words,) = told(scores(GROUP, seeds=2, worlds=2))
    assert words.startswith(
        "ADPA leads on MT-Bench (4.55). 2 base models x 2 seeds of the last stage.\nADPA is"
    )


def test_the_reference_is_half_by_definition():
    of = {"benchmark": "alpaca-eval", "metric": "win_rate", "judge": "rule", "reference": "ADPA"}
    rated = scores({"Teacher": 4.9, "Student": 3.0, "SFT": 3.3, "DPO": 3.8}, **of)
    against = [replace(r, value=min(1.0, max(0.0, r.value / 10))) for r in rated]
    itself = [
        replace(r, method="ADPA", value=0.5, artifacts=(f"ADPA-{r.seed}",))
        for r in against
        if r.method == "SFT"
    ]
    (words,) = told([*scores(GROUP), *against, *itself])
    assert words.startswith(
        "ADPA leads on MT-Bench (4.57) and AlpacaEval WR (50.0 % by definition, the reference). 3 seeds "
    )
    assert "and by 19.2 points [16.2, 22.3] on AlpacaEval WR (100 % of the Teacher's gap)." in words
    beside = [replace(r, method="SFT", artifacts=(f"SFT-{r.seed}",)) for r in itself]
    tied = [r for r in against if r.method != "SFT"]
    (words,) = told([*tied, *itself, *beside])
    assert words.startswith(
        "ADPA and SFT have the highest score on AlpacaEval WR (50.0 %, by definition for ADPA, the reference)"
    )


def test_a_failed_row_is_named_with_its_reason():
    other = {"benchmark": "rule"}
    records = [*scores(GROUP), *scores(GROUP, **other)]
    why = "no rewards"
    records += [failed(m, why, **fields) for m in ("PAD", "IPO") for fields in ({}, other)]
    assert told(records)[0].endswith("\nNot judged: PAD and IPO on MT-Bench and Rule score (no rewards).")


@pytest.mark.parametrize("worlds, seeds", [(1, 1), (1, 3), (2, 1)])
def test_base_models_alone_are_no_contest(worlds: int, seeds: int):
    assert told(scores({"Teacher": 5.0, "Student": 3.0}, seeds, worlds)) == [
        "No method was measured, only the models that methods start from."
    ]


def test_every_dataset_has_its_paragraph():
    first, second = told([*scores(GROUP), *scores(GROUP | {"ADPA": 1}, dataset="other")])
    assert first == f"data: {LED}"
    assert second.startswith("other: DPO leads on MT-Bench (3.87). 3 seeds ")


def test_means_over_other_questions_are_compared_on_those_that_both_have():
    """ADPA lacks the verdicts of the half that all find hard: the higher mean, and not the better answers."""
    records = scores({"Student": 2.0, "DPO": 4.0, "ADPA": 3.5})
    hard = {q for q in map(str, range(60)) if scores({"DPO": 0.0})[int(q)].value < 0}
    records = [
        replace(r, value=None, status="unparsed") if r.method == "ADPA" and r.question in hard else r
        for r in records
    ]
    (words,) = told(records)
    assert words.startswith("DPO leads on MT-Bench (4.")


def test_the_teachers_of_merged_runs_are_no_contestants():
    """ADPA of run b is another model, as are its base models; what both call DPO is one."""
    one, other = scores(GROUP), scores(GROUP, rng=1)
    same = [r for r in one if r.method == "DPO"]
    runs = {"a": one, "b": [*same, *(r for r in other if r.method != "DPO")]}
    runs["b"] = [replace(r, artifacts=(f"b-{r.artifacts[0]}",)) if r not in same else r for r in runs["b"]]
    rows = merged({name: Rows(records=records) for name, records in runs.items()})
    (words,) = build.verdict(rows)
    assert "Teacher" not in words and "ADPA (a)" in words and "the 5 methods" not in words
    (table,) = build.build(rows)["main"]
    assert not any(c.mark for row in table.rows if row.method.startswith("Teacher") for c in row.cells)


def test_numbers_that_no_test_compares_are_not_compared():
    of = {"benchmark": "arena-hard", "judge": "gpt-4", "reference": "gpt-4-0314", "metric": "win_rate"}
    means = {"DPO": 0.5, "ADPA": 0.9}
    found = [Summary("run", "run", "data", m, s, **of, value=v) for m, v in means.items() for s in range(3)]
    (words,) = build.verdict(Rows(records=scores(means, **of), summaries=found))
    assert words == "No test compares Arena-Hard: the numbers are in the table."


def test_a_terminal_has_80_columns():
    assert to_terminal(told(scores(GROUP))).splitlines() == [
        "ADPA leads on MT-Bench (4.57). 3 seeds of the last stage, base models not",
        "  replicated.",
        "ADPA is above the Student by 1.50 [1.40, 1.59] on MT-Bench (74 % of the",
        "  Teacher's gap).",
        "Training, with the teacher's work: ADPA 3.0e9 FLOPs, 3.0 times those of SFT.",
        "",
    ]


def test_a_pair_s_name_stands_before_its_first_line_alone():
    first, second = told([*scores(GROUP), *scores(GROUP, pair="other")])
    assert first.startswith("other: ADPA leads on ") and first.count("other") == 1
    assert second == f"run: {LED}"


def test_markdown_has_a_paragraph_for_each_line():
    assert build.verdict_markdown([LED]) == LED.replace("\n", "\n\n") + "\n"
