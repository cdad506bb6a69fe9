"""What models and judges wrote, collected from the store of a run whose rows need no model."""

from pathlib import Path

import pytest

from harness.plan.plan import Plan
from harness.results import judging
from harness.results import records as collect
from harness.results import texts as collect_texts
from harness.run import pipeline
from harness.store.store import Store
from reports.records import texts as rows
from reports.records.texts import Text
from tests import suites

SUITE = """
name: talk
seeds: [0]
world_seeds: [0]
world:
  {animals: 8, people: 8, pretrain: 60, sft: 60, pairs: 24, validation_pairs: 8, questions: 8,
   mt_questions: 8}
models: {constant: {control: constant}, copy: {control: copy}}
benchmarks:
  mt-bench: {data: world/test/mt_bench, max_tokens: 8}
  alpaca-eval: {data: world/test/alpaca_eval, max_tokens: 8, reference: copy}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    folder = tmp_path_factory.mktemp("talk")
    path = folder / "talk.yaml"
    path.write_text(SUITE)
    store = Store(folder / "store")
    plan = pipeline.make_plan(suites.load(str(path), []), [], store, pipeline.machine(folder), None)
    for step in plan.steps:
        store.make(step)
    return plan, store


def texts_of(plan: Plan, store: Store, folder: Path) -> list[Text]:
    return collect_texts.write(judging.read_rows(plan, store), folder)


def of(found: list[Text], method: str, benchmark: str) -> list[Text]:
    return [t for t in found if (t.method, t.benchmark) == (method, benchmark)]


def test_every_record_of_a_judgment_has_its_text(finished, tmp_path: Path):
    """The same verdicts as results.jsonl, one by one, with the words that they are about."""
    plan, store = finished
    found = texts_of(plan, store, tmp_path)
    records = collect.records(plan, store)
    names = ("method", "benchmark", "metric", "judge", "question", "turn", "order", "value")
    ours, theirs = ({(*(getattr(r, n) for n in names), r.status) for r in of} for of in (found, records))
    assert ours == theirs and {t.category for t in found} == {r.group for r in records}
    assert len(found) == len(records)
    assert all(t.reply for t in found if t.value is not None and t.method != t.reference)


def test_a_turn_has_its_own_question_and_answer(finished, tmp_path: Path):
    """A control that copies says what it was asked, so each turn's answer is that turn's question."""
    found = of(texts_of(*finished, tmp_path), "copy", "mt-bench")
    assert {t.turn for t in found} == {1, 2} and all(t.answer == t.asked for t in found)
    assert all(t.reference_answer not in ("", t.answer) for t in found)  # the world's own answers


def test_a_comparison_has_the_answer_of_its_reference(finished, tmp_path: Path):
    found = of(texts_of(*finished, tmp_path), "constant", "alpaca-eval")
    assert {t.order for t in found} == {"ab", "ba"} and {t.reference for t in found} == {"copy"}
    assert all(t.reference_answer == t.asked and t.answer != t.asked for t in found)


def test_a_run_has_a_row_for_each_step_with_its_inputs(finished, tmp_path: Path):
    plan, store = finished
    said, told = texts_of(plan, store, tmp_path), collect_texts.write_steps(plan, store, tmp_path)
    made = rows.read_steps(tmp_path / "steps.jsonl")
    assert made == told
    assert [m.id for m in made] == [s.id for s in plan.steps]
    known = {m.id: m for m in made}
    judged = next(m for m in made if m.label.startswith("alpaca-eval judgments of constant"))
    assert known[dict(judged.inputs)["reference"]].kind == "answers"
    assert rows.read_texts(tmp_path / "texts.jsonl") == said
