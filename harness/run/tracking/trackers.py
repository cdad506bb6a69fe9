"""One run of one tracker, by accelerate's classes: what each of them wants beside, and how it has scores."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.tracking import LOGGER_TYPE_TO_CLASS

MLFLOW_NAME = re.compile(r"[^\w./ -]")  # what MLflow has in no metric's name


class Score(NamedTuple):
    """One number of a table, as DATASET/ROW/COLUMN, with the ends of its interval where it has one."""

    name: str
    value: float
    low: float | None
    high: float | None


class Tracked:
    """A run under way of a tracker."""

    def __init__(self, name: str, tracker: Any, folder: Path) -> None:
        self.name, self._tracker, self._folder = name, tracker, folder

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell the numbers of a step."""
        own = {MLFLOW_NAME.sub("_", n): v for n, v in values.items()} if self.name == "mlflow" else values
        if len(own) < len(values):
            raise ValueError(f"{', '.join(values)}: some are one name to MLflow")
        self._tracker.log(dict(own), step=step)

    def scores(self, told: Sequence[Score], text: str) -> None:
        """Tell scores as numbers, and as a table where the tracker shows any; `text` is Markdown."""
        ends = {f"{s.name}/{end}": getattr(s, end) for s in told for end in ("low", "high")}
        values = {s.name: s.value for s in told} | {n: v for n, v in ends.items() if v is not None}
        self.log(values, 0)
        if self.name == "tensorboard":
            self._tracker.log({"main": text}, step=0)
        elif self.name == "wandb":
            self._tracker.log_table("main", list(Score._fields), [list(s) for s in told], step=0)
        elif self.name == "mlflow":
            path = self._folder / "main.md"
            path.write_text(text, encoding="utf-8")
            self._tracker.log_artifact(str(path))


@contextmanager
def tracked(
    name: str, project: str, run: str, group: str, about: Mapping[str, Any], folder: Path
) -> Iterator[Tracked]:
    """A run of a tracker with what it is about; `folder` holds what a tracker writes here."""
    tracker = LOGGER_TYPE_TO_CLASS[name](**_arguments(name, project, run, group, folder))
    tracker.start()
    tracker.store_init_configuration(dict(about))
    yield Tracked(name, tracker, folder)
    tracker.finish()


def _arguments(name: str, project: str, run: str, group: str, folder: Path) -> dict[str, Any]:
    """What accelerate's class of a tracker takes: but for TensorBoard its `run_name` is the project."""
    match name:
        case "tensorboard":
            return {"run_name": run, "logging_dir": folder / name}
        case "wandb":
            import wandb

            # Told after a training, the machine's load would be that of telling.
            settings = wandb.Settings(x_disable_stats=True, console="off")
            own = {"name": run, "group": group, "dir": folder, "settings": settings}
        case "mlflow":
            return {"experiment_name": project, "run_name": run, "tags": {"group": group}}
        case _:
            own = {"name": run, "group": group, "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
    return {"run_name": project, **own}
