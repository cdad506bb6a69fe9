"""A method that fails in training costs its own row, which says why; all others are in the tables."""

import json
from pathlib import Path

import pytest

from harness.endpoints import prices
from harness.executors.options import RUN_DEFAULTS, TRAINING_DEFAULTS
from harness.results.write import write
from harness.run import pipeline
from harness.run.failed_rows import without_failed
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.bench_command import bench
from tests.paths import ROOT, TINY

FAULTS = {
    "raises": ('    raise RuntimeError("a batch too many")\n', "a batch too many"),
    "NaN": ('    return {"dpo": y_w.logps("policy").sum() * float("nan")}\n', "nan"),
}


@pytest.mark.parametrize(("fault", "executor"), [("raises", "jobs"), ("NaN", "jobs"), ("NaN", "inline")])
def test_a_row_whose_training_failed_says_why_beside_the_others(
    copied: Path, tmp_path: Path, fault: str, executor: str
) -> None:
    line, why = FAULTS[fault]
    text = (ROOT / "methods" / "dpo.py").read_text().replace('name="DPO"', 'name="Fails"')
    start = text.index("def loss(")
    end = text.index("\n\n\n", start)
    # The made-up batch before any work has two examples.
    loss = (
        "def loss(batch, hp):\n    y_w = batch.chosen\n    if len(y_w.mask) > 2:\n    "
        f'{line}    return {{"dpo": -y_w.logps("policy").mean()}}'
    )
    own = tmp_path / "fails.py"
    own.write_text(text[:start] + loss + text[end:])
    jobs = ["--jobs", "2"] if executor == "jobs" else []
    words = ("run", TINY, "--runs", str(copied), "--method-file", str(own), *jobs)
    done = bench(*words, BENCH_EXECUTOR=executor)

    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and why in done.stderr.lower()
    table = (copied / "tiny" / "tables" / "main.md").read_text()
    assert "| ADPA+ |" in table and "| Fails |" in table and "failed: " in table
    records = [json.loads(r) for r in (copied / "tiny" / "results.jsonl").read_text().splitlines()]
    failed = [r for r in records if r["method"] == "Fails"]
    assert failed and all(r["value"] is None and r["status"].startswith("failed: ") for r in failed)
    assert any(r["method"] == "DPO" and r["status"] == "ok" for r in records)


class Without(Store):
    """A store that lacks some steps."""

    lost: frozenset[str] = frozenset()

    def find(self, step: Step) -> Path | None:
        return None if step.id in self.lost else super().find(step)


@pytest.mark.parametrize("failed", ["train pairs", "validation pairs", "init teacher"])
def test_rows_that_are_made_are_written_whatever_failed(tiny_run: Path, tmp_path: Path, failed: str) -> None:
    """The Student needs none of these; how many pairs were dropped for it nobody can say without them."""
    store, lost = Without(tiny_run / "store"), dict[str, str]()
    where = pipeline.machine(tiny_run, RUN_DEFAULTS, TRAINING_DEFAULTS)
    plan = pipeline.make_plan(suites.load(TINY), (), store, where, None)
    for step in plan.steps:  # inputs stand before what is made of them
        if step.label == failed or lost.keys() & {s.id for s in step.sources.values()}:
            lost[step.id] = "no room"
    store.lost = frozenset(lost)
    made = without_failed(plan, lost, store.is_done)
    assert made is not None
    write(made, store, tmp_path / "tiny", prices.load(None), [])
    costs = (tmp_path / "tiny" / "costs.jsonl").read_text()
    assert ("Student" in costs) == (failed == "validation pairs")
    records = [json.loads(r) for r in (tmp_path / "tiny" / "results.jsonl").read_text().splitlines()]
    assert any(r["method"] == "Student" and r["status"] == "ok" for r in records)
    assert {r["status"] for r in records if r["method"] == "ADPA"} >= {"failed: no room"}


def test_a_row_that_exploded_fails_where_the_suite_says_so_though_it_is_made(copied: Path) -> None:
    """Of the trainings that are done, the limit lies between the largest gradient norm and the next one."""
    norms = {}
    for path in copied.glob("store/train/*/RECORD.json"):
        record = json.loads(path.read_text())
        norms[record["measured"]["grad_norm"]["largest"]] = record["label"]
    second, first = sorted(norms)[-2:]
    health = f"health={{grad_norm: {(first + second) / 2}, exploding: %s}}"

    done = bench("run", TINY, "--runs", str(copied), "--name", "told", "--set", health % "tell")
    assert done.returncode == 0, done.stderr
    table = (copied / "told" / "tables" / "main.md").read_text()
    assert f"exploded: {norms[first]} (gradient norm {first:.3g} at step " in table.replace("\\", "")
    assert "trainings that exploded 1 of 10" in table

    done = bench("run", TINY, "--runs", str(copied), "--name", "stopped", "--set", health % "stop")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert f"{norms[first]} exploded: gradient norm" in done.stderr
