"""Records of steps: settings and inputs come back from them as they were, and nothing unknown is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic

import pytest
from pydantic import ValidationError

from harness.run.kinds import KINDS
from harness.signals.kinds import SIGNALS, SignalInputs, SignalSettings
from harness.store.step import Ref, Step
from harness.store.step_record import (
    FLATTENED,
    by_name,
    from_names,
    from_record,
    optional,
    several,
    to_record,
)
from harness.train.costs import TrainInputs, TrainSettings
from methods.api import Training
from tests.goldens import planned

# No suite here asks for them: judges are checked alone, and asked once; prompts are compared with questions
# outside of the plan, and no teacher here speaks another template than its student.
IN_NO_SUITE = {"judge-check", "overlap", "repeats", "tokenizer"}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Those of every suite that ships and of the tests' own, each once."""
    plans = planned(tmp_path_factory.mktemp("plans"))
    return list({step.id: step for of in plans.values() for step in of}.values())


def without_source(settings: Any) -> Any:
    """A training's settings without the note that no record has: who published them."""
    if not isinstance(settings, TrainSettings) or settings.training is None:
        return settings
    return replace(settings, training=replace(settings.training, source=Training.source))


def test_settings_and_inputs_of_every_planned_step_survive_their_record(steps: list[Step]) -> None:
    """By value and in order: a launcher passes nothing else on to the processes of a training."""
    for step in steps:
        record = json.loads(json.dumps(step.settings_record))
        settings, inputs = (
            from_record(step.kind.settings, record),
            from_names(step.kind.inputs, step.named_inputs),
        )
        assert settings == without_source(step.settings) and inputs == step.inputs, step.label
        assert to_record(settings) == record and list(to_record(settings)) == list(record), step.label
        assert list(by_name(inputs)) == list(step.named_inputs), step.label
    assert {kind.name for kind in KINDS} - {step.kind.name for step in steps} == IN_NO_SUITE


@dataclass(frozen=True)
class Width:
    """Stands in the record beside the settings around it."""

    width: int
    depth: int = optional(1)


@dataclass(frozen=True)
class Settings:
    name: str
    size: Width | None = field(metadata=FLATTENED)
    shares: Mapping[str, float] = field(default_factory=dict)
    ends: tuple[int, ...] = optional(())


@dataclass(frozen=True)
class Inputs(Generic[Ref]):
    base: Ref
    views: Mapping[str, Ref] = several("view")
    signals: Mapping[tuple[str, str], Ref] = several("signal", 2)
    after: Ref | None = None


@pytest.mark.parametrize(
    ("settings", "record"),
    [
        (Settings("a", Width(3)), {"name": "a", "width": 3, "shares": {}}),
        (Settings("a", Width(3, 2)), {"name": "a", "width": 3, "depth": 2, "shares": {}}),
        (Settings("a", None, {"b": 0.5}), {"name": "a", "shares": {"b": 0.5}}),
        (Settings("a", None, ends=(1, 2)), {"name": "a", "shares": {}, "ends": [1, 2]}),
    ],
)
def test_a_record_is_flat_and_has_no_optional_setting_at_its_default(
    settings: Settings, record: dict[str, Any]
) -> None:
    assert to_record(settings) == record
    assert from_record(Settings, record) == settings


def test_inputs_are_recorded_by_names_with_dots(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in "abc")
    inputs = Inputs(one, {"chosen": two}, {("chosen", "ref"): three})
    names = {"base": one, "view.chosen": two, "signal.chosen.ref": three}
    assert by_name(inputs) == names and list(by_name(inputs)) == list(names)
    assert from_names(Inputs, names) == inputs
    assert by_name(Inputs(one, after=two)) == {"base": one, "after": two}


def test_what_a_record_leaves_out_is_the_default_or_a_fault(tmp_path: Path) -> None:
    assert to_record(SignalSettings("logps", "float32")) == {"form": "logps", "dtype": "float32"}
    assert "k" in to_record(SignalSettings("topk", "float32", 4))
    with pytest.raises(ValidationError, match="dtype"):
        from_record(SignalSettings, {"form": "logps"})
    with pytest.raises(TypeError, match="sequences"):
        from_names(SignalInputs, {"model": tmp_path})


# What these hold besides is the settings of a benchmark, which alone knows them.
OPEN = {"answers", "judgments", "repeats"}


@pytest.mark.parametrize("kind", [k for k in KINDS if k.name not in OPEN], ids=lambda kind: kind.name)
def test_an_unknown_setting_is_refused(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{kind.settings.__name__}: no settings learning_rate"):
        kind.work({"learning_rate": 1e-3}, {}, tmp_path, {})


def test_values_are_checked_as_they_are_read() -> None:
    with pytest.raises(ValidationError, match="form"):
        from_record(SIGNALS.settings, {"form": "logits", "dtype": "float32"})
    with pytest.raises(ValidationError, match="precision"):
        from_record(TrainSettings, {"formula": "f", "hp": {}, "seed": 0, "precision": "float32"})


def test_an_unknown_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"TrainInputs: no inputs teacher, views\.chosen"):
        from_names(TrainInputs, {"start": tmp_path, "teacher": tmp_path, "views.chosen": tmp_path})
