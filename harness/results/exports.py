"""A run's answers and judgments in the files of the benchmarks' own tools, for those tools to read.

exports/mt-bench/...    exports/alpaca-eval-2/...    as each benchmark's `export` writes them
"""

from pathlib import Path

from benchmarks.declaration import JudgedAnswers
from harness.common.files import read_json_lines
from harness.common.text import slug
from harness.evaluate import questions
from harness.evaluate.questions import JUDGMENTS
from harness.plan.plan import Plan
from harness.results.records import folder_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.measurement import Chosen


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write every export that the plan's benchmarks have into `out`."""
    rows = _row_names(plan)
    for name, chosen in plan.suite.benchmarks.chosen.items():
        judged = [
            _judged(store, step, rows[id(cell)], chosen, key.partition(".")[2])
            for cell in plan.cells
            for key, step in cell.measures.get(name, {}).items()
            if chosen.declaration.export and key.startswith(JUDGMENTS)
        ]
        if chosen.declaration.export and judged:
            chosen.declaration.export(out / name, judged)


def _row_names(plan: Plan) -> dict[int, str]:
    """Each cell's row as a file's name: what tells it from the others."""
    varied = [k for k in ("pair", "dataset", "seed") if len({getattr(c, k) for c in plan.cells}) > 1]
    parts = {id(c): [*(str(getattr(c, k)) for k in varied), c.method] for c in plan.cells}
    return {cell: _file_name("-".join(words)) for cell, words in parts.items()}


def _file_name(name: str) -> str:
    """A name without what would be a folder ("DCKD w/o dispreferred", "org/judge")."""
    return name.replace("/", "_")


def _judged(store: Store, step: Step, row: str, chosen: Chosen, reference: str) -> JudgedAnswers:
    folders = {name: folder_of(store, source) for name, source in step.named_inputs.items()}
    asked, benchmark = questions.load(chosen.declaration, folders["data"], step.settings.asked)
    judge = _file_name(chosen.settings.judged_by())
    return JudgedAnswers(
        row,
        judge,
        reference,
        slug(judge),
        slug(reference),
        asked,
        benchmark,
        questions.read_answers(folders["answers"]),
        questions.read_answers(folders["reference"]) if "reference" in folders else {},
        read_json_lines(folder_of(store, step) / "judgments.jsonl"),
    )
