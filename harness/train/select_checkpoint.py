"""The checkpoint of a training that a reward model likes best, as a model of its own.

    selection.json {"by": "reward", "chosen": 3, "step": 78, "rows": 750, "steps": [26, 52, 78, 104],
                    "means": [0.41, 0.77, 0.93, 0.90]}

Every 0.5 epoch greedy answers to the held-out prompts are scored, and the checkpoint with the highest mean is
kept (the released `valid_with_rm` of ADPA; Gao et al., 2025). The means are the curve of its Figure 4.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from harness.common.cost import ModelSize
from harness.data.rewards import read_rewards
from harness.store.step import Ref, Sizes, Step, StepKind, Work
from harness.store.step_record import several

BY = ("reward", "last")


@dataclass(frozen=True)
class SelectSettings:
    by: str


@dataclass(frozen=True)
class SelectInputs(Generic[Ref]):
    """rewards: of the answers of each checkpoint, "1" the first."""

    trained: Ref
    rewards: Mapping[str, Ref] = several("rewards")


def run(work: Work[SelectSettings, SelectInputs[Path]]) -> dict[str, Any]:
    """The step: of the checkpoints of the training step `trained`, link the files of the one that the rewards
    of their answers speak for, or of the last one.
    """
    trained, by = work.inputs.trained, work.settings.by
    if by not in BY:
        raise ValueError(f"selection.by: {by!r}; allowed: {', '.join(BY)}")
    steps: dict[str, int] = json.loads((trained / "checkpoints.json").read_text())
    rewards = [read_rewards(work.inputs.rewards[name]) for name in steps]
    curve, rows = means(rewards)
    chosen = best(curve) if by == "reward" else len(curve)
    link(trained / "checkpoints" / str(chosen), work.out)
    choice = {"chosen": chosen, "step": steps[str(chosen)], "rows": rows}
    selection = {"by": by, **choice, "steps": [*steps.values()], "means": curve}
    (work.out / "selection.json").write_text(json.dumps(selection))
    # Rows that the reward model refused for some checkpoint are left out of all: means must be over the same.
    unscored = len({row for of in rewards for row in of}) - rows
    return {**choice, "of": len(curve), "unscored": unscored}


def means(rewards: Sequence[Mapping[int, float | None]]) -> tuple[list[float], int]:
    """Each checkpoint's mean reward over the rows on which all have one, and how many rows these are."""
    scored = [{row for row, reward in by_row.items() if reward is not None} for by_row in rewards]
    rows = sorted(set.intersection(*scored))
    if not rows:
        raise ValueError("selection: no held-out prompt has a scored answer of every checkpoint")
    return [sum(float(by_row[row] or 0.0) for row in rows) / len(rows) for by_row in rewards], len(rows)


def best(curve: Sequence[float]) -> int:
    """The number, from 1, of the checkpoint with the highest mean; of equals the earliest.

    It has moved least from where training started, so it had the least chance to exploit the reward model.
    """
    return max(range(len(curve)), key=lambda i: (curve[i], -i)) + 1


def link(source: Path, folder: Path) -> None:
    """Put the files of a folder into another one: hard links, or copies on another file system."""
    for path in sorted(source.iterdir()):
        try:
            # A hard link takes no disk, and outlives the training step that it came from.
            os.link(path, folder / path.name)
        except OSError:
            shutil.copy2(path, folder / path.name)


def selected_size(step: Step, sizes: Sizes) -> ModelSize:
    """The size of the checkpoint that is chosen."""
    return sizes.model(step.inputs.trained)


# Hard links take nothing.
SELECT = StepKind(
    "select",
    SelectSettings,
    SelectInputs,
    "harness.train.select_checkpoint:run",
    model=selected_size,
)
