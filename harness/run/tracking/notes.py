"""What is to be told of a run, and what each tracker has been told of it.

tracking/run.json          {"project": "pocket", "trainings": {"1495004ffc73": "ADPA+-seed-1", ...}, ...}
tracking/told-wandb.json   {"trainings": {"1495004ffc73": "ADPA+-seed-1"}, "results": ["results", "3f9c..."]}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.common.text import file_name
from harness.plan.plan import Plan
from harness.plan.row_steps import stages
from harness.store.step import Step
from harness.train.costs import TRAIN
from reports.records import jsonl

FOLDER = "tracking"  # below a run's folder


def fault_file(folder: Path, tracker: str) -> Path:
    """Where a tracker's process says why it ended before all was told."""
    return folder / FOLDER / f"fault-{tracker}.txt"


@dataclass(frozen=True)
class RunNotes:
    """A run: its folder, the store, and by a training's id what it is called."""

    project: str
    folder: str
    store: str
    trainings: Mapping[str, str]

    def write(self) -> Path:
        """The file that they are in."""
        path = Path(self.folder) / FOLDER / "run.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        jsonl.replace(path, json.dumps(asdict(self), indent=1))
        return path

    @classmethod
    def read(cls, path: Path) -> "RunNotes":
        return cls(**json.loads(path.read_bytes()))


@dataclass
class Told:
    """What a tracker knows: trainings by id, and the names and hashes of results."""

    path: Path
    trainings: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, tracker: str) -> "Told":
        """What a run's folder says of a tracker; nothing where it says nothing."""
        path = folder / FOLDER / f"told-{tracker}.json"
        return cls(path, **(json.loads(path.read_bytes()) if path.is_file() else {}))

    def write(self) -> None:
        jsonl.replace(self.path, json.dumps({"trainings": self.trainings, "results": self.results}, indent=1))


def trainings(plan: Plan) -> dict[str, str]:
    """Every training behind the rows of a plan, by its id, under its label and what tells it from others."""
    found: dict[str, tuple[Step, list[str]]] = {}
    pairs, datasets, worlds = ({getattr(c, k) for c in plan.cells} for k in ("pair", "dataset", "world_seed"))
    for cell in (c for c in plan.cells if c.lineage):
        parts = [cell.pair] * (len(pairs) > 1) + [cell.dataset] * (len(datasets) > 1)
        world = [f"world-{cell.world_seed}"] * (len(worlds) > 1)
        for step in stages(cell.model).values():
            if step.kind == TRAIN and step.id not in found:
                found[step.id] = step, [*parts, step.label, *world, f"seed-{step.settings.seed}"]
    names: dict[str, str] = {}
    for number, (_, words) in found.items():
        name = file_name("-".join(words)).replace(" ", "-")
        names[number] = f"{name}-{number}" if name in names.values() else name
    return names
