"""PAD's table: its columns in its order, the authors' numbers beside them; and a run's own comparison."""

from dataclasses import replace

from reports import build as run
from reports.records.rows import Record, Summary
from reports.records.run_folder import Rows
from reports.tables.table import Cell

BASE = Record("s", "p", "d", "PAD", 0, "mt-bench", "score", "", "0", 1, "", "gpt-4", "", 7.0)
SUMMARY = Summary("s", "p", "d", "PAD", 0, "alpaca-eval-2", "gpt-4", "baseline", "lc_win_rate", 0.25)


def rows() -> Rows:
    measured = []
    for m, shift in (("Student", 0.0), ("PAD", 0.5)):
        for q in range(4):
            one = replace(BASE, method=m, question=str(q), value=q + shift)
            measured += [
                one,
                replace(one, benchmark="gsm8k-cot", metric="accuracy", judge="", value=float(q % 2)),
                replace(one, benchmark="alpaca-eval-2", metric="win_rate", reference="baseline", value=0.25),
                replace(one, benchmark="openllm", metric="primary", judge="", group="mmlu_law", value=1.0),
            ]
    arena = replace(SUMMARY, benchmark="arena-hard", metric="win_rate", value=0.2)
    return Rows(records=measured, summaries=[SUMMARY, arena])


def test_the_columns_are_pads_in_pads_order_with_its_published_number() -> None:
    (table,) = run.build(rows())["pad"]
    assert [c.title for c in table.columns] == [
        "AlpacaEval 2 LC (%)", "AlpacaEval 2 WR (%)", "Arena-Hard (%)", "MT-Bench", "GSM8K 0-shot CoT (%)",
        "paper LC (%)",
    ]  # fmt: skip
    assert [c.value for c in table.rows[1].cells] == [0.25, 0.25, 0.2, 2.0, 0.5, 0.4573]
    assert table.rows[0].cells[-1] == Cell()
    assert table.title == "PAD's benchmarks: s, p" and not any("MMLU" in note for note in table.notes)
    main = run.build(rows())["main"][0]
    assert main.rows[1].cells[0] in table.rows[1].cells  # the same numbers


def test_a_run_without_benchmarks_of_pads_own_has_no_such_table() -> None:
    plain = rows()._replace(summaries=[])
    plain = plain._replace(records=[r for r in plain.records if r.benchmark in ("mt-bench", "openllm")])
    assert "pad" not in run.build(plain)


def test_a_run_compares_its_methods_with_the_student_else_with_sft_else_with_its_first() -> None:
    def baseline(*names: str) -> str:
        measured = [replace(BASE, method=m, question=str(q)) for m in names for q in range(3)]
        return run.build(Rows(records=measured))["comparison"][0].columns[1].title

    assert baseline("DPO", "SFT", "Student") == "less Student"
    assert baseline("DPO", "SFT") == "less SFT" and baseline("DPO", "PAD") == "less DPO"
