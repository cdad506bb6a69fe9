"""What the judges' steps add up to, and what they took."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.api import Answer
from benchmarks.declaration import JudgedAnswers
from harness.common.files import read_json_lines
from harness.common.text import file_name, slug
from harness.endpoints.prices import Prices, Usage
from harness.evaluate import questions
from harness.evaluate.questions import JUDGMENTS, REPEATS
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results.records import benchmark_key, folder_of, folders_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.measurement import Chosen
from reports.records.rows import Judging, Summary

ReadAnswers = Callable[[Path], dict[str, Answer]]
SPENT = Usage._fields
COUNTS = ("judgments", "unparsed", "guarded", *SPENT)


class JudgedRow(NamedTuple):
    """Whose judgments a step holds, and the one that has some of them repeated."""

    cell: Cell
    chosen: Chosen
    reference: str
    step: Step
    repeats: Step | None

    @property
    def key(self) -> dict[str, Any]:
        """The fields that name a row of judging."""
        return benchmark_key(self.cell, self.chosen, self.reference)

    def read(self, store: Store, read_answers: ReadAnswers = questions.read_answers) -> JudgedAnswers:
        """What was asked, answered and judged."""
        folders = {name: folder_of(store, source) for name, source in self.step.named_inputs.items()}
        loaded, benchmark = questions.load(
            self.chosen.declaration, folders["data"], self.step.settings.options
        )
        judge = file_name(self.chosen.settings.judged_by())
        return JudgedAnswers(
            self.cell.method,
            judge,
            self.reference,
            slug(judge),
            slug(self.reference),
            loaded,
            benchmark,
            read_answers(folders["answers"]),
            read_answers(folders["reference"]) if "reference" in folders else {},
            read_json_lines(folder_of(store, self.step) / "judgments.jsonl"),
            folders["data"],
        )


def judged_rows(plan: Plan) -> Iterator[JudgedRow]:
    """Every step of judgments, row by row."""
    for cell in plan.cells:
        for name, steps in cell.measures.items():
            for key in (k for k in steps if k.startswith(JUDGMENTS)):
                chosen = plan.suite.benchmarks.chosen[name]
                again = steps.get(key.replace(JUDGMENTS, REPEATS, 1))
                yield JudgedRow(cell, chosen, key.partition(".")[2], steps[key], again)


def read_rows(plan: Plan, store: Store) -> list[tuple[JudgedRow, JudgedAnswers]]:
    """Every step of judgments with all that is in it; answers that several rows are compared with are read
    once.
    """
    read_answers = cache(questions.read_answers)
    return [(row, row.read(store, read_answers)) for row in judged_rows(plan)]


def summaries(plan: Plan, store: Store) -> list[Summary]:
    """Every number that a benchmark's own way of adding up gives, those of judgments first."""
    measured = [(cell, name) for cell in plan.cells for name in cell.measures]
    measured.sort(key=lambda m: not any(key.startswith(JUDGMENTS) for key in m[0].measures[m[1]]))
    return [
        Summary(**benchmark_key(cell, chosen, summary.reference), metric=summary.metric, value=summary.value)
        for cell, name in measured
        if (chosen := plan.suite.benchmarks.chosen[name])
        for summary in chosen.benchmark.summaries(folders_of(cell, name, store))
    ]


def judging(plan: Plan, store: Store, prices: Prices) -> list[Judging]:
    """What each row's judgments took, repeats among them; those of a rule took no call."""
    rows = []
    for row in judged_rows(plan):
        counts, models = _counts(row.step, store)
        if row.repeats:
            again, served = _counts(row.repeats, store)
            counts |= {name: counts[name] + again[name] for name in SPENT} | {"repeats": again["calls"]}
            models |= served
        usd: float | None = 0.0
        # Priced by today's table, never by that of the day it was asked: rows of one table cost alike.
        if counts["calls"]:
            judge = plan.suite.judges[row.chosen.settings.judged_by()]
            usd = judge.kind.usd(judge.settings, prices, Usage(*(counts[name] for name in SPENT)))
        rows.append(Judging(**row.key, **counts, usd=usd, models=tuple(sorted(models))))
    return rows


def _counts(step: Step, store: Store) -> tuple[dict[str, Any], set[str]]:
    """What a step of judgments took, and who served its replies."""
    measured = store.record(folder_of(store, step))["measured"]
    return {name: measured[name] for name in COUNTS}, set(measured["served"])
