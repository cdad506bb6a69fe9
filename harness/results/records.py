"""Finished artifacts into records: one row per measured item."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.common.files import read_json_lines
from harness.data.token_sequences import Sequences
from harness.evaluate import answers
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.signals.reward_model import read_rewards, won
from harness.store.array_file import ArrayFile
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.benchmarks import Judged, MTBench, Reward
from reports.records.rows import Record


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
    version: str = ""


def records(plan: Plan, store: Store) -> list[Record]:
    """Every measured item of every row, and one record with the reason for each benchmark that a row
    lacks.
    """
    rows, specs = [], plan.suite.benchmarks.named()
    for cell in plan.cells:
        for benchmark, steps in cell.measures.items():
            spec = specs[benchmark]
            folders = {name: folder_of(store, step) for name, step in steps.items()}
            made = [s for s in (cell.source, *steps.values()) if isinstance(s, Step)]
            ids = tuple(f"{step.kind}-{step.id}" for step in made)
            for value in READ[benchmark](folders):
                status = "ok" if value.value is not None else "unparsed"
                rows.append(_record(plan, cell, benchmark, spec, value, status, ids))
        for (benchmark, reference), reason in cell.missing.items():
            nothing = Value(METRIC[benchmark], "", None, reference=reference)
            rows.append(_record(plan, cell, benchmark, specs[benchmark], nothing, f"not run: {reason}", ()))
    return rows


def _record(
    plan: Plan,
    cell: Cell,
    benchmark: str,
    spec: Any,
    value: Value,
    status: str,
    artifacts: tuple[str, ...],
) -> Record:
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
        judge=_judge(spec),
        reference=value.reference or _references(spec),
        value=value.value,
        status=status,
        tokens=value.tokens,
        truncated=value.truncated,
        artifacts=artifacts,
        version=value.version,
    )


def _references(spec: Any) -> str:
    """The set of reference answers that MT-Bench's judge sees; the pocket world has one of its own."""
    of_world = isinstance(spec, MTBench) and (spec.data or "").startswith("world/")
    return spec.references if isinstance(spec, MTBench) and not of_world else ""


def _judge(spec: Any) -> str:
    if isinstance(spec, Reward):
        return Path(spec.model).name
    return spec.judge if isinstance(spec, Judged) else ""


def folder_of(store: Store, step: Step) -> Path:
    """The folder of a step that is done."""
    folder = store.find(step)
    assert folder, f"{step.label} is not done"
    return folder


def _judged(metric: str, folders: dict[str, Path], missing: float | None = None) -> Iterator[Value]:
    """Every judgment; those against a reference stand in a folder of its name. `missing` is the value of one
    without a verdict.
    """
    said = answers.read(folders["answers"])
    for name in (n for n in folders if n.startswith("judgments")):
        for row in read_json_lines(folders[name] / "judgments.jsonl"):
            answer, at = said[row["question"]], row["turn"] - 1
            yield Value(
                metric,
                row["question"],
                missing if row["value"] is None else row["value"],
                row["category"],
                row["turn"],
                row["order"],
                answer.tokens[at],
                answer.truncated[at],
                name.partition(".")[2],
            )


def _openllm(folders: dict[str, Path]) -> Iterator[Value]:
    """Every document; `truncated` says that its prompt lost its beginning, too long for the model."""
    cut = {
        (told["task"], told["document"])
        for told in read_json_lines(folders["results"] / "details.jsonl")
        if told["truncated"]
    }
    for row in read_json_lines(folders["results"] / "results.jsonl"):
        version = f"{row['version']}, {row['num_fewshot']}-shot"
        task, document = row["task"], row["document"]
        truncated = (task, document) in cut
        yield Value("primary", document, row["value"], task, truncated=truncated, version=version)


def _pair_logps(folder: Path, sequences: Sequences) -> NDArray[np.float64]:
    """Summed log-prob of each sequence. [n]"""
    logps = ArrayFile(folder, "logps").all().astype(np.float64)
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
    truncated = ArrayFile(folders["rollouts"], "truncated").all().tolist()
    for i, row in enumerate(sequences.rows.tolist()):
        tokens, cut = int(sequences.response_lengths[i]), bool(truncated[i])
        for metric, value in (("reward", rewards[i]), ("length", tokens), ("truncated", cut)):
            yield Value(metric, str(row), float(value), tokens=tokens, truncated=cut)


def _reward(folders: dict[str, Path]) -> Iterator[Value]:
    """Rewards and wins over the data's chosen responses: of the row's model with group "", and as
    `checkpoint_reward` and `checkpoint_win_rate` of each checkpoint, the group its optimizer step.
    """
    yield from _rewards(folders["rewards"], folders["reference"], "", "")
    if "selected" in folders:
        steps = json.loads((folders["selected"] / "selection.json").read_text())["steps"]
        for n, step in enumerate(steps, 1):
            yield from _rewards(folders[f"rewards.{n}"], folders["curve"], "checkpoint_", str(step))


def _rewards(folder: Path, reference: Path, prefix: str, group: str) -> Iterator[Value]:
    theirs = read_rewards(reference)
    for row in read_json_lines(folder / "rewards.jsonl"):
        question, about = str(row["row"]), {"tokens": row["tokens"], "truncated": row["truncated"]}
        win = won(row["reward"], theirs[row["row"]])
        yield Value(f"{prefix}reward", question, row["reward"], group, **about)
        yield Value(f"{prefix}win_rate", question, win, group, reference="chosen", **about)


METRIC_OF_ANSWERS = {
    "mt-bench": "score",
    "alpaca-eval": "win_rate",
    "alpaca-eval-2": "win_rate",
    "arena-hard": "win_rate",
    "rule": "score",
    "gsm8k-cot": "accuracy",
}
READ: dict[str, Callable[[dict[str, Path]], Iterable[Value]]] = {
    **{name: partial(_judged, metric) for name, metric in METRIC_OF_ANSWERS.items()},
    "gsm8k-cot": partial(_judged, "accuracy", missing=0.0),  # as upstream: no answer is a wrong one
    "openllm": _openllm,
    "openllm-v2": _openllm,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
    "reward": _reward,
    "objective": lambda folders: (),  # a number of a whole set: it stands in training.jsonl
}
METRIC = METRIC_OF_ANSWERS | {
    "openllm": "primary",
    "openllm-v2": "primary",
    "implicit-reward": "accuracy",
    "teacher-reward": "reward",
    "reward": "reward",
}
