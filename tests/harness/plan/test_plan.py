"""The plan: every shared step once, and a change reruns what depends on it, nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import methods
from harness.data.prepare import PAIRS
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan import row_steps
from harness.plan.context import PlanContext
from harness.plan.plan import Plan
from harness.store.provenance import reason_to_run
from harness.store.step import Part, Step
from harness.store.store import Store
from methods.api import Method
from tests import suites
from tests.paths import TINY


def plan(*overrides: str, registry: dict[str, Method] | None = None, only: tuple[str, ...] = ()) -> Plan:
    return planning.plan(suites.load(TINY, overrides), registry or methods.registry(), Machine(), only=only)


def labels(p: Plan, kind: str) -> list[str]:
    return [s.label for s in p.steps if s.kind.name == kind]


def test_every_step_stands_once_and_after_its_inputs() -> None:
    seen: set[str] = set()
    for step in plan().steps:
        assert step.id not in seen
        assert all(source.id in seen for source in step.sources.values())
        seen.add(step.id)


def test_teacher_stages_rollouts_and_signals_are_shared() -> None:
    p = plan()
    assert labels(p, "train").count("sft teacher") == labels(p, "train").count("dpo teacher") == 1
    assert (
        labels(p, "signals").count("hidden of dpo teacher on train chosen") == 1
    )  # DCKD reads it; VanillaKD would too
    assert labels(p, "rollouts") == ["rollouts of sft student", "rollouts of DCKD"]


def test_a_changed_setting_reruns_its_steps_and_what_depends_on_them_only() -> None:
    before, after = plan(), plan("methods.DCKD.alpha=2")
    changed = {s.label for s in after.steps} - {
        s.label for s in after.steps if s.id in {x.id for x in before.steps}
    }

    assert changed
    assert all("DCKD" in label or "ADPA+" in label for label in changed), changed
    assert {"DCKD", "ADPA+", "rollouts of DCKD"} <= changed


def test_the_machine_is_not_part_of_any_id() -> None:
    loaded = suites.load(TINY)
    one = planning.plan(loaded, methods.registry(), Machine())
    two = planning.plan(loaded, methods.registry(), Machine(device="cuda", tokens=7, batch=1, head="keep"))

    assert [s.id for s in one.steps] == [s.id for s in two.steps]


def test_seed_drives_the_last_stage_and_world_seed_all_before_it() -> None:
    first, seeded, world = plan(), plan("seeds=[1]"), plan("world_seeds=[1]")
    ids = {s.label: s.id for s in first.steps}
    same = {s.label for s in seeded.steps if s.id == ids[s.label]}

    assert {"sft student", "dpo teacher", "rollouts of sft student"} <= same
    assert not {"SFT", "DPO", "ADPA"} & same
    # The facts, the questions and the text that base models learn from are those of all worlds.
    assert {s.label for s in world.steps if s.id == ids[s.label]} == {"pocket world", "pretraining text"}


def test_two_entries_that_are_one_computation_share_one_artifact() -> None:
    registry = methods.registry([replace(methods.registry()["DCKD"], name="DCKD again")])
    loaded = suites.load(TINY, ["methods.DCKD again.alpha=1.0"])
    cells = {c.method: c.model.id for c in planning.plan(loaded, registry, Machine()).cells}

    assert cells["DCKD"] == cells["DCKD again"]


def test_another_model_in_a_role_is_another_computation() -> None:
    p = plan("methods.DCKD w/o DPO teacher.alpha=1.0")
    cells = {c.method: c.model for c in p.cells}

    assert cells["DCKD"].id != cells["DCKD w/o DPO teacher"].id
    assert "sft teacher" in cells["DCKD w/o DPO teacher"].sources["signal.chosen.teacher"].label


def test_the_reverse_teacher_is_trained_where_a_method_reads_it_and_nowhere_else() -> None:
    """Of the SFT teacher, by the DPO that made the teacher, with chosen and rejected exchanged."""
    p = plan('methods={"AlignDistil[off-policy]": {}, ADPA: {}}')
    (reverse,), (teacher,) = (
        [s for s in p.steps if s.label == label] for label in ("reverse dpo teacher", "dpo teacher")
    )
    settings, its = reverse.settings, teacher.settings
    assert (its.hp["preferred"], its.hp["dispreferred"]) == ("chosen", "rejected")
    assert settings.hp == {**its.hp, "preferred": "rejected", "dispreferred": "chosen"}
    assert settings.training == its.training and settings.formula == its.formula
    assert {s.id for s in reverse.sources.values()} == {s.id for s in teacher.sources.values()}
    signals = {s.label: s for s in p.steps if s.kind.name == "signals"}
    read = signals["hidden of reverse dpo teacher on train chosen"]
    (row,) = (c for c in p.cells if c.method == "AlignDistil[off-policy]")
    (other,) = (c for c in p.cells if c.method == "ADPA")
    assert read.id in {s.id for s in row_steps.own_stages(row)} and reverse in row_steps.own_stages(row)
    assert reverse not in row_steps.own_stages(other)
    assert len(row_steps.teacher_passes(row)) == 2, "both models over the chosen responses"
    assert "reverse dpo teacher" not in labels(plan(), "train")


def test_a_method_that_reads_the_reverse_teacher_wants_a_dpo_stage() -> None:
    without = "pairs.tiny.teacher.dpo=null"
    with pytest.raises(ValueError, match=r"pairs.tiny.teacher.dpo: missing; .* reverse dpo teacher"):
        plan("methods={AlignDistil: {}}", "benchmarks={mt-bench: {data: world/test/mt_bench}}", without)


def test_only_brings_in_what_a_method_needs_and_says_what_is_missing() -> None:
    p = plan(only=("ADPA+",))
    assert {"DCKD", "ADPA+", "dpo teacher"} <= set(labels(p, "train"))
    assert "SFT" not in labels(p, "train")
    assert {c.method for c in p.cells} == {"Teacher", "Student", "ADPA+"}
    assert all(c.missing["alpaca-eval", "ADPA"] == "no answers of the reference ADPA" for c in p.cells)


def test_a_support_of_k_reads_the_reference_teacher_at_the_teachers_ids() -> None:
    model = {c.method: c.model for c in plan("methods.ADPA.support=5").cells}["ADPA"]
    teacher = model.sources["signal.student_rollout.teacher"]
    reference = model.sources["signal.student_rollout.teacher_ref"]

    assert (teacher.settings.form, teacher.settings.k) == ("topk", 5)
    assert reference.sources["ids"].id == teacher.id
    assert not [name for name in model.sources if name.startswith("head.")]


def test_dckd_without_the_dispreferred_response_is_vanillakd_with_sft_at_its_setting() -> None:
    at = ["alpha=1.0", "training.lr=1e-3", "training.epochs=1"]
    rows = ("VanillaKD[SFT]", "DCKD w/o dispreferred")
    cells = {c.method: c.model.id for c in plan(*(f"methods.{row}.{x}" for row in rows for x in at)).cells}
    assert cells["VanillaKD[SFT]"] == cells["DCKD w/o dispreferred"]


def test_iterations_of_pad_sample_again_from_what_they_trained() -> None:
    """Two rounds of half the epochs; the second starts from the first and samples with it."""
    cells = {c.method: c.model for c in plan("methods.PAD.iterations=2", "methods.PAD.responses=2").cells}
    second = cells["PAD"]
    first = second.sources["start"]
    group = second.sources["view.group"]
    assert (first.label, second.label) == ("PAD", "PAD round 2")
    assert group.sources["rollouts"].sources["model"].id == first.id
    assert first.sources["view.group"].sources["rollouts"].sources["model"].label == "sft student"
    assert first.settings.training.epochs == second.settings.training.epochs == 0.5
    assert second.sources["scores.group.selection"].sources["model"].label == "dpo teacher"


def test_states_of_adpa_are_the_view_that_its_setting_names() -> None:
    cells = {c.method: c.model for c in plan("methods.ADPA.states=rejected").cells}
    read = {name for name in cells["ADPA"].sources if name.startswith("signal.")}
    assert read == {"signal.rejected.teacher", "signal.rejected.teacher_ref"}


def test_live_teachers_stand_in_for_their_signals() -> None:
    """The models themselves are inputs, no signal of theirs is computed, and the id is another."""
    stored, live = (
        {c.method: c.model for c in plan(f"signals={how}").cells}["DCKD"] for how in ("stored", "live")
    )
    assert live.sources["live.teacher"].label == "dpo teacher"
    assert not [name for name in live.sources if name.startswith(("signal.", "head."))]
    assert live.id != stored.id and "live.teacher" not in stored.sources


def test_the_policys_own_rollouts_are_drawn_while_it_trains() -> None:
    cells = {c.method: c.model for c in plan("methods.GKD.batches=2").cells}
    model = cells["GKD"]
    assert model.sources["view.policy_rollout"].kind == PAIRS
    assert model.sources["live.teacher"].label == "dpo teacher"
    assert model.settings.online.max_tokens == 8


def test_a_win_rate_can_be_against_several_rows() -> None:
    (cell,) = [c for c in plan("benchmarks.alpaca-eval.reference=[ADPA, DCKD]").cells if c.method == "SFT"]
    measured = cell.measures["alpaca-eval"]
    assert {"judgments.ADPA", "judgments.DCKD"} < measured.keys()
    assert measured["judgments.DCKD"].sources["reference"].sources["model"].label == "DCKD"


def test_the_objective_is_measured_on_held_out_pairs() -> None:
    (cell,) = [c for c in plan("benchmarks.objective={}").cells if c.method == "ADPA"]
    step = cell.measures["objective"]["objective"]
    rollouts = step.sources["view.student_rollout"]
    assert step.sources["after"].id == cell.model.id
    assert step.sources["start"].id == cell.model.sources["start"].id
    assert rollouts.sources["prompts"].label == "validation pairs"


def test_why_names_the_setting_that_changed(tmp_path: Path) -> None:
    store, old, new = Store(tmp_path), plan(), plan("world.sft=80")
    assert reason_to_run(old.steps[0], store) == "new"
    store.make(old.steps[0])

    assert reason_to_run(old.steps[0], store) == ""
    assert reason_to_run(new.steps[0], store) == "sft 160 -> 80"


def test_models_that_take_no_cache_have_other_ids_than_when_they_were_decoded_with_one(
    tmp_path: Path,
) -> None:
    """All that stands on them with them; ids of other models are as they were."""
    setting = PlanContext(suites.load(TINY), methods.registry(), Machine())
    known: dict[str, str] = {}
    for family in ("mamba", "llama", "qwen3_next"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "config.json").write_text(json.dumps({"model_type": family}))
        link = setting.model(str(tmp_path / family), "models.m.path")
        assert isinstance(link, Step)
        known[family] = str(link.settings_record.keys() - {"kind", "fingerprint"})
    assert known == {"mamba": "{'without_cache'}", "llama": "set()", "qwen3_next": "set()"}
    data = setting.data(str(tmp_path / "mamba"))
    assert isinstance(data, Part) and "without_cache" not in data.step.settings_record
