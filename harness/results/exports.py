"""A run's answers and judgments in the files of the benchmarks' own tools, for those tools to read.

exports/mt-bench/model_answer/ADPA.jsonl  model_judgment/gpt-4_single.jsonl
exports/alpaca-eval-2/gpt-4/baseline/leaderboard.csv  ADPA/model_outputs.json  ADPA/annotations.json
exports/arena-hard/model_answer/ADPA.jsonl  model_judgment/gpt-4/ADPA.jsonl
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.alpaca_eval import files as alpaca_eval_files
from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.arena_hard import files as arena_hard_files
from benchmarks.mt_bench import fastchat_files
from harness.common.files import read_json_lines
from harness.common.text import slug
from harness.evaluate import answers, questions
from harness.plan.plan import Plan
from harness.results.records import folder_of
from harness.store.step import Part, Step
from harness.store.store import Store
from harness.suite.benchmarks import Judged


class Judgments(NamedTuple):
    """The judgments of one row by one judge, against one reference where the benchmark compares."""

    row: str
    judge: str
    reference: str
    questions: list[Question]
    benchmark: JudgedBenchmark
    given: dict[str, Answer]
    theirs: dict[str, Answer]
    verdicts: list[dict[str, Any]]

    def requests(self) -> Iterator[tuple[Question, JudgeRequest | Score, dict[str, Any]]]:
        """What was asked or settled without asking, and the row of judgments.jsonl that came of it."""
        rows = iter(self.verdicts)
        for q in self.questions:
            for item in self.benchmark.requests(q, self.given[q.id], self.theirs.get(q.id)):
                yield q, item, next(rows)


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write every export that the plan's benchmarks have into `out`."""
    found: dict[str, list[Judgments]] = defaultdict(list)
    names = _names(plan)
    for cell in plan.cells:
        for benchmark, spec in plan.suite.benchmarks.judged().items():
            for name, step in cell.measures.get(benchmark, {}).items():
                if benchmark in WRITERS and name.startswith("judgments"):
                    reference = name.partition(".")[2]
                    found[benchmark].append(_read(store, step, names[id(cell)], spec, reference))
    for benchmark, judgments in found.items():
        WRITERS[benchmark](out / benchmark, judgments)


def _names(plan: Plan) -> dict[int, str]:
    """Each cell's row as a file's name: what tells it from the others."""
    varied = [k for k in ("pair", "dataset", "seed") if len({getattr(c, k) for c in plan.cells}) > 1]
    told = {id(c): [*(str(getattr(c, k)) for k in varied), c.method] for c in plan.cells}
    return {cell: _file_name("-".join(parts)) for cell, parts in told.items()}


def _file_name(name: str) -> str:
    """A name without what would be a folder ("DCKD w/o dispreferred", "org/judge")."""
    return name.replace("/", "_")


def _read(store: Store, step: Step, row: str, spec: Judged, reference: str) -> Judgments:
    folders = {name: _input(store, source) for name, source in step.inputs.items()}
    asked, benchmark = questions.load(step.settings["benchmark"], folders["data"], step.settings)
    theirs = answers.read(folders["reference"]) if "reference" in folders else {}
    verdicts = read_json_lines(folder_of(store, step) / "judgments.jsonl")
    given = answers.read(folders["answers"])
    return Judgments(row, _file_name(spec.judge), reference, asked, benchmark, given, theirs, verdicts)


def _input(store: Store, source: Step | Part) -> Path:
    if isinstance(source, Part):
        return folder_of(store, source.step) / source.folder
    return folder_of(store, source)


def _mt_bench(out: Path, judgments: list[Judgments]) -> None:
    by_judge: dict[str, list[fastchat_files.Judgment]] = defaultdict(list)
    for of in judgments:
        fastchat_files.write_answers(out, of.row, of.given.values())
        for q, item, verdict in of.requests():
            assert isinstance(item, JudgeRequest)
            value = _value(verdict)
            by_judge[of.judge].append(
                fastchat_files.judgment(of.row, of.judge, q, item, verdict["reply"], value)
            )
    for judge, rows in by_judge.items():
        fastchat_files.write_judgments(out, judge, rows)


def _alpaca_eval(out: Path, judgments: list[Judgments]) -> None:
    boards: dict[Path, dict[str, Any]] = defaultdict(dict)
    for of in judgments:
        folder = out / slug(of.judge) / slug(of.reference)
        scores, replies = [], {}
        for q, item, verdict in of.requests():
            scores.append(Score(q.id, _value(verdict), q.category, 1, verdict["order"], item.covariates))
            if verdict["request"]:
                replies[q.id] = Reply(verdict["reply"], verdict["logprobs"], verdict["finish_reason"])
        values = alpaca_eval.item_values(scores)
        ours = alpaca_eval_files.Side(of.row, of.given)
        theirs = alpaca_eval_files.Side(of.reference, of.theirs)
        once = len(scores) == len(values)
        rows = alpaca_eval_files.annotations(
            of.questions, theirs, ours, values, annotator=of.judge, replies=replies if once else None
        )
        _write(folder / of.row / "model_outputs.json", alpaca_eval_files.model_outputs(of.questions, ours))
        _write(folder / of.row / "annotations.json", rows)
        boards[folder][of.row] = alpaca_eval_files.leaderboard_row(values, of.benchmark.aggregate(scores))
    for folder, rows_of in boards.items():
        (folder / "leaderboard.csv").write_text(alpaca_eval_files.leaderboard(rows_of))


def _value(verdict: dict[str, Any]) -> float | Unparsed:
    return Unparsed(verdict["reply"]) if verdict["value"] is None else float(verdict["value"])


def _write(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def _arena_hard(out: Path, judgments: list[Judgments]) -> None:
    for of in judgments:
        folder = out / slug(of.reference)
        arena_hard_files.write_answers(folder, of.row, of.given.values(), of.questions)
        arena_hard_files.write_judgments(folder, of.judge, of.row, of.verdicts)


WRITERS = {
    "mt-bench": _mt_bench,
    "alpaca-eval": _alpaca_eval,
    "alpaca-eval-2": _alpaca_eval,
    "arena-hard": _arena_hard,
}
