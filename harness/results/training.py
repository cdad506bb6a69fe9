"""What the last stage of each method changed, and logged on its way, from the files of its training step."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.plan.plan import Plan
from harness.plan.row_steps import trained_of
from harness.results.records import folder_of, folders_of, row_key
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.schema import STUDENT, TEACHER
from harness.train.checkpoints import METRICS
from methods.api import Method
from reports.records.rows import Curve, Training

POINTS = 200  # of a curve: more are no wider on a screen
NO_CURVES = ("step", "lr")  # what a line of a log has beside quantities
# What kind a quantity is that is no term of the loss; all others are means of what the loss read.
KINDS = {"grad_norm": "gradient", "margin": "margin", "reward_margin": "margin"}
LETTERS = 0.5  # of the teacher's probability, below which its answers to A-or-B questions are doubted


def training(plan: Plan, store: Store) -> list[Training]:
    """What the last stage of each method changed: its terms on a probe and on held-out prompts, its margin on
    held-out pairs, its weights.
    """
    rows = []
    for cell in plan.cells:
        if cell.lineage is None:
            continue
        folder = folder_of(store, trained_of(cell.model))
        # SFT and the teacher's own stages are where rows start from, and no methods that are compared.
        if cell.method in (TEACHER, STUDENT) or not (folder / "training.json").exists():
            continue
        summary = json.loads((folder / "training.json").read_text())
        method = cell.setting.registry[cell.method]
        held_out: dict[str, float] = {}
        # Held-out numbers are a benchmark's ("objective", "implicit-reward"): a suite without it has none.
        for name in cell.measures:
            chosen = plan.suite.benchmarks.chosen[name]
            held_out |= chosen.benchmark.training(folders_of(cell, name, store), method.maximises)
        rows.append(
            Training(
                **row_key(cell),
                # A loss is the sum of its terms, each a mean over the probe.
                loss_before=sum(summary["before"].values()),
                loss_after=sum(summary["after"].values()),
                margin_before=held_out.get("margin_before"),
                margin_after=held_out.get("margin_after"),
                moved=summary["moved"],
                steps=summary["steps"],
                terms=tuple(
                    (n, summary["before"][n], summary["after"][n]) for n in sorted(summary["before"])
                ),
                objective=method.maximises or "loss",
                held_before=held_out.get("held_before"),
                held_after=held_out.get("held_after"),
                watched=tuple((n, *values) for n, values in sorted(summary["watched"].items())),
                warnings=(
                    *_unmoved(summary),
                    *_passed(summary["watched"], method),
                    *_approximated(trained_of(cell.model), store),
                    *_chosen(cell.model, store),
                    *_skipped(trained_of(cell.model), store),
                ),
            )
        )
    return rows


def _unmoved(summary: Mapping[str, Any]) -> Iterator[str]:
    """That a training left its start as it was, whose numbers are then those of the row."""
    if summary["moved"] == 0:
        yield f"no weight moved in {summary['steps']} optimizer steps, so the row is its start; a higher lr?"


def _approximated(model: Step, store: Store) -> Iterator[str]:
    """What the inputs of a last stage leave out, or can hardly mean."""
    measured = {n: store.record(folder_of(store, s))["measured"] for n, s in model.sources.items()}
    for name, record in measured.items():
        if record.get("cut_mass"):
            yield f"{name}: the support leaves out {record['cut_mass']:.1%} of the probability"
        if record.get("cut"):
            yield f"{name}: {record['cut']} responses were cut for the teacher's questions"
        # Where it would rather write something else, how it ranks the letters says little.
        if record.get("letter_mass", 1) < LETTERS:
            yield f"{name}: the teacher names a letter only {record['letter_mass']:.0%} of the time"


def _chosen(model: Step, store: Store) -> Iterator[str]:
    """Which checkpoint is the row's result; the other numbers are of the last one."""
    if model.kind.name == "select":
        selection = json.loads((folder_of(store, model) / "selection.json").read_text())
        steps = selection["steps"]
        yield f"checkpoint of step {selection['step']} of {steps[-1]} selected by {selection['by']}"


def _skipped(trained: Step, store: Store) -> Iterator[str]:
    """How many optimizer steps float16 gradients were too large for."""
    measured = store.record(folder_of(store, trained))["measured"]
    if skipped := measured.get("skipped"):
        yield f"{skipped} of {measured['steps']} optimizer steps left out: float16 overflowed"


def _passed(watched: dict[str, list[float]], method: Method) -> Iterator[str]:
    for name, limit in method.limits.items():
        if max(watched[name]) > limit:
            yield f"{name}: {max(watched[name]):.0%}, over {limit:.0%}"


def curves(plan: Plan, store: Store) -> list[Curve]:
    """A curve for each quantity that a training logged; none of a training without a log."""
    return [
        Curve(**row_key(cell), **told)
        for cell in plan.cells
        if cell.lineage is not None and cell.method not in (TEACHER, STUDENT)
        for told in of_log(folder_of(store, trained_of(cell.model)))
    ]


def of_log(folder: Path) -> Iterator[dict[str, Any]]:
    """What a curve says of each quantity in the log of a training that is done."""
    if not (folder / METRICS).is_file() or not (folder / "training.json").is_file():
        return
    lines: list[dict[str, Any]] = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    terms = json.loads((folder / "training.json").read_text())["before"]
    for name in dict.fromkeys(name for line in lines for name in line if name not in NO_CURVES):
        own = [line for line in lines if name in line]
        kept = thinned(own, POINTS)
        yield {
            "kind": "term" if name in terms else KINDS.get(name, "mean"),
            "quantity": name,
            "steps": tuple(line["step"] for line in kept),
            "values": tuple(float(line[name]) if math.isfinite(line[name]) else None for line in kept),
            "logged": len(own),
        }


def thinned(lines: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Every n-th line, n as small as leaves `most` at most, and the first and the last."""
    n = max(1, math.ceil((len(lines) - 1) / (most - 1)))
    return [*lines[:-1:n], *lines[-1:]]
