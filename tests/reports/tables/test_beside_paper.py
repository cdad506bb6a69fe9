"""The paper's numbers beside ours: what is shown, and when anything may be said of the two."""

from dataclasses import replace

import pytest

from reports.records.benchmarks import DEFAULT
from reports.records.rows import Record
from reports.statistics.bootstrap import Draw
from reports.tables.beside_paper import beside_tables
from reports.tables.table import Cell, Table

QUICK = Draw(resamples=200)
TASKS = next(b.tasks.titles for b in DEFAULT if b.name == "openllm" and b.tasks)
BLANK = Record(
    "adpa-llama", "llama", "dpo-mix-7k", "ADPA", 42, "openllm", "primary", "gsm8k", "0", 1, "", "", "", 0.0
)

WIN = replace(BLANK, benchmark="alpaca-eval", metric="win_rate", judge="gpt-4", reference="ADPA", value=0.5)


def openllm(share: float, tasks: list[str], **fields: str) -> list[Record]:
    """Ten documents a task, of which this share is right."""
    return [
        replace(BLANK, group=task, question=str(n), value=float(n < 10 * share), **fields)
        for task in tasks
        for n in range(10)
    ]


def shown(records: list[Record], method: str = "ADPA") -> dict[str, Cell]:
    table: Table
    (table,) = beside_tables(records, ["ADPA", "PAD"], QUICK)
    (row,) = (r for r in table.rows if r.method == method)
    return {column.title: cell for column, cell in zip(table.columns, row.cells, strict=True)}


@pytest.mark.parametrize(("share", "verdict"), [(0.4, "agrees"), (0.9, "differs")])
def test_on_the_papers_models_and_tasks_the_interval_decides(share: float, verdict: str) -> None:
    """43.38 is published for ADPA on the six tasks."""
    found = shown(openllm(share, list(TASKS)))
    assert found["OpenLLM, published"].value == pytest.approx(0.4338)
    assert found["ours"].value == pytest.approx(share)
    assert found["verdict"].value == verdict


def test_subjects_of_mmlu_are_its_task() -> None:
    tasks = [t for t in TASKS if t != "mmlu"] + ["mmlu_anatomy", "mmlu_virology"]
    assert shown(openllm(0.4, tasks))["verdict"].value == "agrees"


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (openllm(0.4, ["gsm8k", "winogrande"]), "other tasks"),
        (openllm(0.4, list(TASKS), suite="pocket"), "other models"),
        ([replace(BLANK, benchmark="mt-bench", metric="score", judge="gpt-4", value=3.9)], "other judge"),
        ([replace(WIN, reference="DPO")], "other reference"),
        ([WIN], "other judge"),
    ],
)
def test_what_could_not_be_equal_gets_a_reason_and_no_verdict(records: list[Record], reason: str) -> None:
    assert shown(records)["verdict"].value == f"not comparable: {reason}"


def test_each_data_set_stands_beside_its_own_table() -> None:
    records = openllm(0.4, list(TASKS)) + openllm(0.4, list(TASKS), dataset="helpsteer2")
    first, second = beside_tables(records, ["ADPA"], QUICK)
    assert [t.rows[0].cells[0].value for t in (first, second)] == [
        pytest.approx(0.4338),
        pytest.approx(0.426),
    ]
    assert "HelpSteer2" in second.notes[0] and "DPO-MIX-7K" in first.notes[0]


def test_a_method_that_was_not_published_or_not_run_has_no_verdict() -> None:
    found = shown(openllm(0.4, list(TASKS)), "PAD")
    assert (found["OpenLLM, published"].value, found["ours"].value, found["verdict"].value) == (
        None,
        None,
        None,
    )
    assert not beside_tables([replace(BLANK, benchmark="rule", metric="score")], ["ADPA"], QUICK)
