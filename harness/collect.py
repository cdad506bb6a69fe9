"""Finished artifacts into the rows that tables read: records, costs, and what training changed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.evaluate import read_answers
from harness.flat import Flat
from harness.lineage import STUDENT, TEACHER
from harness.measures import Cell
from harness.plan import Plan, closure
from harness.sequences import Sequences
from harness.store import Step, Store
from reports.records import Cost, Record, Training


class Value(NamedTuple):
    """One number of a benchmark, before it knows whose it is."""

    metric: str
    question: str
    value: float | None
    group: str = ""
    turn: int = 1
    order: str = ""
    tokens: int = 0
    truncated: bool = False


def records(plan: Plan, store: Store) -> list[Record]:
    """Every measured item of every row, and one record with the reason for each benchmark that a row
    lacks.
    """
    rows = []
    for cell in plan.cells:
        for benchmark, steps in cell.measures.items():
            folders = {name: _folder(store, step) for name, step in steps.items()}
            ids = tuple(f"{step.kind}-{step.id}" for step in (cell.model, *steps.values()))
            for value in READ[benchmark](folders):
                rows.append(
                    _record(
                        plan, cell, benchmark, value, "ok" if value.value is not None else "unparsed", ids
                    )
                )
        for benchmark, reason in cell.missing.items():
            rows.append(
                _record(plan, cell, benchmark, Value(METRIC[benchmark], "", None), f"not run: {reason}", ())
            )
    return rows


def _record(
    plan: Plan, cell: Cell, benchmark: str, value: Value, status: str, artifacts: tuple[str, ...]
) -> Record:
    spec: Any = plan.suite.benchmarks.named()[benchmark]
    return Record(
        suite=plan.suite.name,
        pair=cell.pair,
        dataset=cell.dataset,
        method=cell.method,
        seed=cell.seed,
        benchmark=benchmark,
        metric=value.metric,
        group=value.group,
        question=value.question,
        turn=value.turn,
        order=value.order,
        judge=spec.judge if benchmark in JUDGED else "",
        reference=spec.reference if benchmark == "alpaca-eval" else "",
        value=value.value,
        status=status,
        tokens=value.tokens,
        truncated=value.truncated,
        artifacts=artifacts,
    )


def _folder(store: Store, step: Step) -> Path:
    folder = store.find(step)
    assert folder, f"{step.label} is not done"
    return folder


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _judged(metric: str, folders: dict[str, Path]) -> Iterator[Value]:
    said = read_answers(folders["answers"])
    for row in _lines(folders["judgments"] / "judgments.jsonl"):
        answer, at = said[row["question"]], row["turn"] - 1
        yield Value(
            metric,
            row["question"],
            row["value"],
            row["category"],
            row["turn"],
            row["order"],
            answer.tokens[at],
            answer.truncated[at],
        )


def _openllm(folders: dict[str, Path]) -> Iterator[Value]:
    for row in _lines(folders["results"] / "results.jsonl"):
        yield Value("primary", row["document"], row["value"], row["task"])


def _pair_logps(folder: Path, sequences: Sequences) -> NDArray[np.float64]:
    """Summed log-prob of each sequence. [n]"""
    logps = Flat(folder, "logps").all().astype(np.float64)
    return np.add.reduceat(logps, sequences.response_offsets[:-1])


def _implicit_reward(folders: dict[str, Path]) -> Iterator[Value]:
    margins = margin(folders, "policy") - margin(folders, "start")
    for row, value in enumerate(margins.tolist()):
        yield Value("accuracy", str(row), float(value > 0) + 0.5 * float(value == 0))


def margin(folders: dict[str, Path], who: str) -> NDArray[np.float64]:
    """lp(y_w) - lp(y_l) of each held-out pair under a model, in nats. [n]"""
    chosen, rejected = (
        _pair_logps(folders[f"{who}.{side}"], Sequences(folders["pairs"] / side))
        for side in ("chosen", "rejected")
    )
    return chosen - rejected


def _teacher_reward(folders: dict[str, Path]) -> Iterator[Value]:
    sequences = Sequences(folders["rollouts"])
    rewards = _pair_logps(folders["teacher"], sequences) - _pair_logps(folders["teacher_ref"], sequences)
    truncated = Flat(folders["rollouts"], "truncated").all().tolist()
    for i, row in enumerate(sequences.rows.tolist()):
        tokens, cut = int(sequences.response_lengths[i]), bool(truncated[i])
        for metric, value in (("reward", rewards[i]), ("length", tokens), ("truncated", cut)):
            yield Value(metric, str(row), float(value), tokens=tokens, truncated=cut)


READ = {
    "mt-bench": lambda folders: _judged("score", folders),
    "alpaca-eval": lambda folders: _judged("win_rate", folders),
    "rule": lambda folders: _judged("score", folders),
    "openllm": _openllm,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
}
METRIC = {
    "mt-bench": "score",
    "alpaca-eval": "win_rate",
    "rule": "score",
    "openllm": "primary",
    "implicit-reward": "accuracy",
    "teacher-reward": "reward",
}
JUDGED = ("mt-bench", "alpaca-eval", "rule")


def costs(plan: Plan, store: Store) -> list[Cost]:
    """What each row's own stages cost, shared steps counted in full: the price of that row run alone."""
    return [_cost(plan, cell, store) for cell in plan.cells]


def _cost(plan: Plan, cell: Cell, store: Store) -> Cost:
    lineage = cell.lineage
    shared = {} if cell.method in (TEACHER, STUDENT) else closure(lineage.student) | closure(lineage.teacher)
    own = [s for i, s in closure(cell.model).items() if i not in shared]
    teachers = {lineage.teacher.id, lineage.teacher_ref.id}
    of_teacher = [s for s in own if "model" in s.sources and s.sources["model"].id in teachers]
    trained = [s for s in own if s.kind == "train"]
    known = {s.id: store.record(_folder(store, s)) for s in own}
    tokens = {s.id: known[s.id]["measured"]["tokens"] for s in trained}
    padding = sum(known[s.id]["measured"]["padding_share"] * tokens[s.id] for s in trained)
    pairs = store.record(_folder(store, lineage.train_pairs))["measured"]
    sampled = [known[s.id]["measured"] for s in own if s.kind == "rollouts"]
    dropped = sum(r["dropped"] for r in sampled)
    return Cost(
        suite=plan.suite.name,
        pair=cell.pair,
        dataset=cell.dataset,
        method=cell.method,
        seed=cell.seed,
        train_seconds=round(sum(known[s.id]["seconds"] for s in trained), 3),
        train_flops=_flops([s for s in own if s not in of_teacher], known),
        teacher_flops=_flops(of_teacher, known),
        train_tokens=sum(tokens.values()),
        padding_share=padding / max(1, sum(tokens.values())),
        rows_dropped=sum(pairs["dropped"].values()) + dropped,
        rows_truncated=sum(r["truncated"] for r in sampled) - dropped,
        device=cell.lineage.setting.machine.device,
    )


def _flops(steps: list[Step], known: dict[str, dict[str, Any]]) -> float:
    return float(sum(known[s.id]["measured"].get("flops", 0) for s in steps))


def training(plan: Plan, store: Store) -> list[Training]:
    """What the last stage of each method changed: its terms on a probe, its margin on held-out pairs, its
    weights.
    """
    rows = []
    for cell in plan.cells:
        folder = _folder(store, cell.model)
        if cell.method in (TEACHER, STUDENT) or not (folder / "training.json").exists():
            continue
        told = json.loads((folder / "training.json").read_text())
        steps = {name: _folder(store, s) for name, s in cell.measures.get("implicit-reward", {}).items()}
        terms = tuple((name, told["before"][name], told["after"][name]) for name in sorted(told["before"]))
        rows.append(
            Training(
                suite=plan.suite.name,
                pair=cell.pair,
                dataset=cell.dataset,
                method=cell.method,
                seed=cell.seed,
                loss_before=sum(told["before"].values()),
                loss_after=sum(told["after"].values()),
                margin_before=float(margin(steps, "start").mean()) if steps else None,
                margin_after=float(margin(steps, "policy").mean()) if steps else None,
                moved=told["moved"],
                steps=told["steps"],
                terms=terms,
            )
        )
    return rows
