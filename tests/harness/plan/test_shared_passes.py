"""Passes: a teacher runs once over a set, whoever reads which form of it, and nobody's numbers change."""

import filecmp
import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan.plan import ordered
from harness.plan.row_steps import Passes, passes
from harness.plan.shared_passes import shared
from harness.plan.signal_steps import SignalStep
from harness.signals.kinds import SIGNALS, Form, SignalInputs, SignalSettings
from harness.store.step import Ref, Source, Step, StepKind, Work
from harness.store.store import Store
from tests import suites
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.plan.test_plan import plan
from tests.harness.signals.test_signals import CONTEXT, sequence_set


@dataclass(frozen=True)
class CopySettings:
    name: str


@dataclass(frozen=True)
class CopyInputs(Generic[Ref]):
    """ref: what it stands on besides."""

    ref: Ref | None = None


def outside(kind: str, folder: Path, ref: Step | None = None) -> Step:
    """A folder as a step that copies it."""
    copied = StepKind(kind, CopySettings, CopyInputs, "tests.harness.plan.test_shared_passes:copy")
    return copied.step(folder.name, CopySettings(folder.name), CopyInputs(ref), {"path": str(folder)})


def copy(work: Work[CopySettings, CopyInputs[Path]]) -> dict[str, Any]:
    shutil.copytree(work.context["path"], work.out, dirs_exist_ok=True)
    return {}


def signals(
    model: Step,
    sequences: Step,
    form: Form,
    dtype: str = "float32",
    k: int | None = None,
    ids: Step | None = None,
) -> SignalStep:
    inputs = SignalInputs[Source](model, sequences, ids)
    return SIGNALS.step(f"{form} of {model.label}", SignalSettings(form, dtype, k), inputs, CONTEXT)


def all_forms(model: Step, sequences: Step, dtype: str = "float32") -> list[SignalStep]:
    forms: list[tuple[Form, int | None]] = [("logps", None), ("hidden", None), ("topk", 3), ("topk", 7)]
    return [signals(model, sequences, form, dtype, k) for form, k in forms]


def undone(step: Step) -> bool:
    return False


def together(steps: Sequence[Step]) -> tuple[Step, ...]:
    return ordered(steps, shared(ordered(steps), undone))


def same(one: Path, two: Path) -> bool:
    names = {p.name for p in one.iterdir()} - {"RECORD.json"}
    assert names == {p.name for p in two.iterdir()} - {"RECORD.json"}
    return all(filecmp.cmp(one / name, two / name, shallow=False) for name in names)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("forms", [slice(0, 4), slice(2, 4), slice(0, 3, 2)])
def test_forms_of_one_pass_are_those_of_passes_of_their_own_bit_for_bit(
    tmp_path: Path, dtype: str, forms: slice
) -> None:
    """All forms; two top-k's, for which hidden states are made; and log-probs beside one top-k."""
    sequence_set(tmp_path / "set", 300)
    model = outside("model", tiny_folder(tmp_path / "model", hidden=16))
    asked = all_forms(model, outside("set", tmp_path / "set"), dtype)[forms]
    alone, shared_store = Store(tmp_path / "alone"), Store(tmp_path / "shared")
    for step in ordered(asked):
        alone.make(step)
    for step in together(asked):
        shared_store.make(step)

    ran = [r["measured"]["passes"] for r in shared_store.records("signals")]
    assert sum(ran) == 1
    for step in asked:
        one, two = alone.find(step), shared_store.find(step)
        assert one and two and same(one, two)
        told, expected = shared_store.record(two)["measured"], alone.record(one)["measured"]
        assert {**told, "passes": 1} == expected


def test_a_step_whose_lender_is_not_there_runs_a_pass_of_its_own(tmp_path: Path) -> None:
    sequence_set(tmp_path / "set")
    model, found = outside("model", tiny_folder(tmp_path / "model")), outside("set", tmp_path / "set")
    steps = together(all_forms(model, found))
    store = Store(tmp_path / "store")
    for step in (model, found, next(s for s in steps if s.settings_record.get("k") == 3)):
        folder = store.make(step)
    assert store.record(folder)["measured"]["passes"] == 1


def test_ids_say_nothing_of_who_shares_a_pass() -> None:
    every, alone = plan(), plan(only=("DCKD",))
    ids = {s.label: s.id for s in every.steps}
    assert {s.id for s in alone.steps if s.kind.name in ("signals", "train")} <= set(ids.values())


def test_a_reference_that_the_teacher_was_trained_with_is_never_read_off_the_teachers_ids(
    tmp_path: Path,
) -> None:
    """logps of the reference -> the teacher -> its top-k -> the reference's top-k at these ids: hidden states
    are made for both, which stand on neither.
    """
    (tmp_path / "set").mkdir()
    reference, found = outside("model", tmp_path / "reference"), outside("set", tmp_path / "set")
    of_reference = signals(reference, found, "logps")
    teacher = outside("model", tmp_path / "teacher", of_reference)
    top = signals(teacher, found, "topk", k=3)
    at = signals(reference, found, "topk", k=3, ids=top)
    steps = together([of_reference, at])

    labels = [s.label for s in steps]
    assert labels.index("hidden of reference") < labels.index("logps of reference")
    assert len({s.id for s in steps}) == len(steps) == 8  # with the head
    for n, step in enumerate(steps):
        assert {s.id for s in step.sources.values()} <= {s.id for s in steps[:n]}


def test_nothing_is_made_for_passes_that_are_done_already(tmp_path: Path) -> None:
    model, found = outside("model", tmp_path / "model"), outside("set", tmp_path / "set")
    tops = [signals(model, found, "topk", k=k) for k in (3, 7)]
    assert len(shared(tops, undone)) == 2
    assert not shared(tops, lambda step: step.id == tops[0].id)
    assert len(shared(tops, lambda step: step.settings.form == "hidden" or step.id == tops[0].id)) == 2


def test_passes_are_counted_for_each_row_alone_and_for_all_together() -> None:
    """DCKD: T on chosen and rejected; ADPA: T and T_ref on rollouts; ADPA+ the same on DCKD's; the teacher's
    own DPO stage: T_ref on chosen and rejected.
    """
    assert passes(plan().cells) == Passes(needed=2 + 2 + (2 + 2) + 2, run=8)
    assert passes(plan("seeds=[0,1]").cells).needed == 20
    assert passes(plan(only=("SFT",)).cells) == Passes(needed=2, run=2)


def test_every_pass_of_the_whole_comparison_is_run_once() -> None:
    found = planning.plan(suites.load("pocket-all"), methods.registry(), Machine())
    signals_of = [s for s in found.steps if s.kind == SIGNALS]
    running = [s for s in signals_of if not s.derived_from]
    assert len({(s.input_ids["model"], s.input_ids["sequences"]) for s in signals_of}) == len(running)
    assert len(signals_of) > len(running)


@pytest.mark.slow
def test_forms_of_one_pass_can_be_made_in_another_process(tmp_path: Path) -> None:
    """A step is all that a worker is told."""
    sequence_set(tmp_path / "set")
    model, found = outside("model", tiny_folder(tmp_path / "model")), outside("set", tmp_path / "set")
    store = Store(tmp_path / "store")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as worker:
        for step in together(all_forms(model, found)):
            worker.submit(store.make, step).result()
    assert sum(r["measured"]["passes"] for r in store.records("signals")) == 1
