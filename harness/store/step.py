"""A step: a kind, settings and inputs; and what its function is given while it runs.

    @dataclass(frozen=True)
    class SignalSettings:
        form: Literal["logps", "hidden", "topk"]
        dtype: str
        k: int | None = optional()

    @dataclass(frozen=True)
    class SignalInputs(Generic[Ref]):              # Ref: Source in a plan, Path while it runs
        model: Ref
        sequences: Ref

    SIGNALS = StepKind("signals", SignalSettings, SignalInputs, "harness.signals.stored:run", cost=cost)

    step = SIGNALS.step("logps of x", SignalSettings("logps", "float32"), SignalInputs(model, pairs))

    def run(work: Work[SignalSettings, SignalInputs[Path]]) -> dict[str, Any]: ...

A kind stands beside the function that does its work; what else of the harness wants to know of it (its cost,
the model or sequences it makes, what it computes on) it asks the kind. One tuple, run/kinds.py, lists them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar  # with defaults: a bare `Step` is one of any kind

from harness.common.cost import Cost, ModelSize, RunLimits, TextSize
from harness.common.text import slug
from harness.pocket.build import World
from harness.store.step_record import by_name, from_names, from_record, to_record

ID = 12  # hex digits
SLUG = 200  # bytes: a folder's name has 255 at most, its id among them
SettingsT = TypeVar("SettingsT", default=Any)  # settings
InputsT = TypeVar("InputsT", default=Any)  # inputs
Ref = TypeVar("Ref")  # of an input: a `Source` in a plan, a folder while the step runs


@dataclass(frozen=True)
class Part:
    """One folder inside an artifact."""

    step: "Step"
    folder: str


class Sizes(Protocol):
    """What an estimate looks up; harness/forecast answers."""

    @property
    def limits(self) -> RunLimits:
        """How much is computed at once."""

    @property
    def world(self) -> World | None:
        """The sizes of the generated world."""

    def typical(self, name: str) -> Mapping[str, Any]:
        """What is assumed of the world, questions or tasks, where nothing of it is at hand."""

    def data(self, path: str, split: str, layout: str, pairs: bool) -> Mapping[str, Any]:
        """How many rows a source of data has, and their parts' mean tokens; empty where nobody knows."""

    def model_at(self, path: str) -> ModelSize:
        """The model of a local folder or a hub id."""

    def model(self, source: "Source") -> ModelSize:
        """The model that a step makes or links to; Unknown where nobody knows it."""

    def sequences(self, source: "Source") -> TextSize:
        """The sequences of an input; Unknown where nobody knows how many."""


@dataclass(frozen=True)
class NoInputs:
    """Of a step that stands on no other."""


@dataclass(frozen=True)
class Work(Generic[SettingsT, InputsT]):
    """What a running step is given: its settings, its inputs as folders, and an empty folder to write to.

    `kept` is a folder of this step that outlives a kill or a failure; it need not exist yet. None: whatever
    is cut short is lost. `derived_from` holds those of the step's artifacts of that name that are done.
    """

    settings: SettingsT
    inputs: InputsT
    out: Path
    context: Mapping[str, Any]
    kept: Path | None = None
    derived_from: Mapping[str, Path] = field(default_factory=dict)


class StepLost(ValueError):
    """A step's end that is no result, such as a training's at NaN: whoever runs it, the rows that stand on it
    are lost, and all others go on.
    """


def written_sequences(step: "Step", sizes: Sizes) -> Cost:
    """The cost of a step that computes nothing to speak of: its sequences on disk, if it writes any."""
    if step.kind.sequences is None:
        return Cost()
    text = sizes.sequences(step)
    return Cost(tokens=text.tokens, disk=text.disk, assumed=text.notes)


def told_by_checksums(step: Any, folder: Path) -> str:
    """Nothing more is wrong with an artifact than its checksums tell."""
    return ""


@dataclass(frozen=True)
class StepKind(Generic[SettingsT, InputsT]):
    """A kind of step. `run` names its function, "module:function", imported only where it runs: it takes a
    `Work` and returns what it measured or counted, for the record.

    on_device: it computes on a GPU where there is one; processes: the field of the machine that says in how
    many processes; one_thread: each of several computes with one thread on CPUs.
    model, sequences: the size of what it makes, for those that make a model or a set of sequences.
    damage: what is wrong with an artifact that checksums do not tell, "" where nothing is.
    """

    name: str
    settings: type[SettingsT]
    inputs: type[InputsT]
    run: str
    version: int = 1
    on_device: bool = False
    processes: str = ""
    one_thread: bool = False
    cost: Callable[[Any, Any], Cost] = written_sequences
    model: Callable[[Any, Sizes], ModelSize] | None = None
    sequences: Callable[[Any, str, Sizes], TextSize] | None = None
    damage: Callable[[Any, Path], str] = told_by_checksums

    def step(
        self,
        label: str,
        settings: SettingsT,
        inputs: InputsT,
        context: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> "Step[SettingsT, InputsT]":
        """A step of this kind; `name` is what its folder is called after, the label where it is left out."""
        shortened = slug(label if name is None else name).encode()[:SLUG].decode(errors="ignore")
        return Step(self, shortened, label, settings, inputs, context or {})

    def work(
        self,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        out: Path,
        context: Mapping[str, Any],
        kept: Path | None = None,
        derived_from: Mapping[str, Path] | None = None,
    ) -> Work[SettingsT, InputsT]:
        """What a step is given, from settings and inputs as its record has them."""
        typed = from_record(self.settings, settings), from_names(self.inputs, inputs)
        return Work(*typed, out, context, kept, derived_from or {})


@dataclass(frozen=True)
class Step(Generic[SettingsT, InputsT]):
    """One arrow of the plan. Settings and inputs are identity; `slug`, `label` and context are for people and
    machines.

    `derived_from` are artifacts that spare it work and change nothing of what it makes, so they are context:
    they come first.
    """

    kind: StepKind[SettingsT, InputsT]
    slug: str
    label: str
    settings: SettingsT
    inputs: InputsT
    context: Mapping[str, Any] = field(default_factory=dict)
    derived_from: Mapping[str, "Step"] = field(default_factory=dict)

    @cached_property
    def settings_record(self) -> dict[str, Any]:
        """The settings as JSON, as the record has them."""
        return dict(to_record(self.settings))

    @cached_property
    def named_inputs(self) -> dict[str, "Source"]:
        """The inputs by the names that the record has ("view.chosen")."""
        return by_name(self.inputs)

    @cached_property
    def sources(self) -> dict[str, "Step"]:
        """The steps that must be done before this one, by input."""
        made = {name: x.step if isinstance(x, Part) else x for name, x in self.named_inputs.items()}
        return made | {f"derived_from.{name}": step for name, step in self.derived_from.items()}

    @cached_property
    def input_ids(self) -> dict[str, str]:
        """What each input is: the id of its step, and the folder inside it where one is named."""
        return {
            name: f"{x.step.id}/{x.folder}" if isinstance(x, Part) else x.id
            for name, x in self.named_inputs.items()
        }

    @cached_property
    def id(self) -> str:
        """12 hex digits over kind, version, settings and the inputs' ids."""
        identity = {
            "kind": self.kind.name,
            "version": self.kind.version,
            "settings": self.settings_record,
            "inputs": self.input_ids,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:ID]


Source = Step | Part  # what an input is in a plan
