"""Finished artifacts into the rows that tables read: records, costs, and what training changed."""

import json
from collections.abc import Callable, Iterable, Iterator
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
from methods.api import Method
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
    reference: str = ""


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
        for (benchmark, reference), reason in cell.missing.items():
            nothing = Value(METRIC[benchmark], "", None, reference=reference)
            rows.append(_record(plan, cell, benchmark, nothing, f"not run: {reason}", ()))
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
        reference=value.reference,
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
    """Every judgment; those against a reference stand in a folder of its name."""
    said = read_answers(folders["answers"])
    for name in (n for n in folders if n.startswith("judgments")):
        for row in _lines(folders[name] / "judgments.jsonl"):
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
                name.partition(".")[2],
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


READ: dict[str, Callable[[dict[str, Path]], Iterable[Value]]] = {
    "mt-bench": lambda folders: _judged("score", folders),
    "alpaca-eval": lambda folders: _judged("win_rate", folders),
    "rule": lambda folders: _judged("score", folders),
    "openllm": _openllm,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
    "objective": lambda folders: (),  # a number of a whole set: it stands in training.jsonl
}
METRIC = {
    "mt-bench": "score",
    "alpaca-eval": "win_rate",
    "rule": "score",
    "openllm": "primary",
    "implicit-reward": "accuracy",
    "teacher-reward": "reward",
}
LETTERS = 0.5  # of the teacher's probability, below which its answers to A-or-B questions are doubted
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
    grouped = [known[s.id]["measured"] for s in own if s.kind in ("group", "mismatched")]
    online = [known[s.id]["measured"] for s in trained]
    cut_and_dropped = sum(r["dropped"] for r in sampled)
    dropped = cut_and_dropped + sum(r["dropped"] for r in grouped) + sum(r["identical"] for r in online)
    return Cost(
        suite=plan.suite.name,
        pair=cell.pair,
        dataset=cell.dataset,
        method=cell.method,
        seed=cell.seed,
        train_seconds=round(sum(known[s.id]["seconds"] for s in trained), 3),
        train_flops=_flops([s for s in own if s not in of_teacher], known),
        teacher_flops=_flops(of_teacher, known) + sum(r["teacher_flops"] for r in online),
        train_tokens=sum(tokens.values()),
        padding_share=padding / max(1, sum(tokens.values())),
        rows_dropped=sum(pairs["dropped"].values()) + dropped,
        rows_truncated=sum(r["truncated"] for r in (*sampled, *online)) - cut_and_dropped,
        device=cell.lineage.setting.machine.device,
    )


def _flops(steps: list[Step], known: dict[str, dict[str, Any]]) -> float:
    return float(sum(known[s.id]["measured"].get("flops", 0) for s in steps))


def training(plan: Plan, store: Store) -> list[Training]:
    """What the last stage of each method changed: its terms on a probe and on held-out prompts, its margin on
    held-out pairs, its weights.
    """
    rows = []
    for cell in plan.cells:
        folder = _folder(store, cell.model)
        if cell.method in (TEACHER, STUDENT) or not (folder / "training.json").exists():
            continue
        told = json.loads((folder / "training.json").read_text())
        method = cell.lineage.setting.registry[cell.method]
        steps = {name: _folder(store, s) for name, s in cell.measures.get("implicit-reward", {}).items()}
        held = cell.measures.get("objective", {}).get("objective")
        held_before, held_after = _held_out(_folder(store, held), method) if held else (None, None)
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
                terms=tuple((n, told["before"][n], told["after"][n]) for n in sorted(told["before"])),
                objective=method.maximises or "loss",
                held_before=held_before,
                held_after=held_after,
                watched=tuple((n, *values) for n, values in sorted(told["watched"].items())),
                warnings=(*_passed(told["watched"], method), *_approximated(cell.model, store)),
            )
        )
    return rows


def _held_out(folder: Path, method: Method) -> tuple[float, float]:
    """The loss before and after, or the mean that the method maximises."""
    told = json.loads((folder / "objective.json").read_text())
    if method.maximises:
        before, after = told["watched"][method.maximises]
        return before, after
    return sum(told["before"].values()), sum(told["after"].values())


def _approximated(model: Step, store: Store) -> Iterator[str]:
    """What the inputs of a last stage leave out, or can hardly mean."""
    measured = {n: store.record(_folder(store, s))["measured"] for n, s in model.sources.items()}
    for name, found in measured.items():
        if found.get("cut_mass"):
            yield f"{name}: the support leaves out {found['cut_mass']:.1%} of the probability"
        if found.get("cut"):
            yield f"{name}: {found['cut']} responses were cut for the teacher's questions"
        if found.get("letter_mass", 1) < LETTERS:
            yield f"{name}: the teacher names a letter only {found['letter_mass']:.0%} of the time"


def _passed(watched: dict[str, list[float]], method: Method) -> Iterator[str]:
    for name, limit in method.limits.items():
        if max(watched[name]) > limit:
            yield f"{name}: {max(watched[name]):.0%}, over {limit:.0%}"
