"""What a step is, and what it is given while it runs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ID = 12  # hex digits


@dataclass(frozen=True)
class Work:
    """What a running step is given: its settings, the folders of its inputs, and an empty folder to write
    to.

    `kept` is a folder of this step that outlives a kill or a failure; it need not exist yet. None: whatever
    is cut short is lost.
    """

    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    out: Path
    context: Mapping[str, Any]
    kept: Path | None = None


@dataclass(frozen=True)
class Part:
    """One folder inside an artifact."""

    step: "Step"
    folder: str


@dataclass(frozen=True)
class Step:
    """One arrow of the plan. Settings are JSON and identity; `slug`, `label` and context are for people and
    machines.

    `run` names the function that does the work, "module:function" (imported only then): it takes a `Work` and
    returns what it measured or counted, for the record. `borrowed` are artifacts that spare it work and
    change nothing of what it makes, so they are context: they come first, and stand in `Work.inputs` as
    "borrowed.<name>" where they are there.
    """

    kind: str
    slug: str
    label: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, "Step | Part"]
    run: str
    version: int = 1
    context: Mapping[str, Any] = field(default_factory=dict)
    borrowed: Mapping[str, "Step"] = field(default_factory=dict)

    @cached_property
    def sources(self) -> dict[str, "Step"]:
        """The steps that must be done before this one, by input."""
        made = {name: x.step if isinstance(x, Part) else x for name, x in self.inputs.items()}
        return made | {f"borrowed.{name}": step for name, step in self.borrowed.items()}

    @cached_property
    def input_ids(self) -> dict[str, str]:
        """What each input is: the id of its step, and the folder inside it where one is named."""
        return {
            name: f"{x.step.id}/{x.folder}" if isinstance(x, Part) else x.id
            for name, x in self.inputs.items()
        }

    @cached_property
    def id(self) -> str:
        """12 hex digits over kind, version, settings and the inputs' ids."""
        identity = {
            "kind": self.kind,
            "version": self.version,
            "settings": self.settings,
            "inputs": self.input_ids,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:ID]
