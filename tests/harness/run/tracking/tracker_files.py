"""What trackers hold of a project, by their own code where they have any: run -> name -> step -> value."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Curves = dict[str, dict[str, dict[int, float]]]
HEADER = struct.Struct("<IHB")  # of a part of a W&B file: checksum, length, and whether it is whole
BLOCK, BEGIN = 32_768, 7  # of such a file: bytes of a block, and of what stands before the first part
WHOLE, LAST = 1, 4


def of_tensorboard(folder: Path, project: str) -> Curves:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Curves = {}
    for run in (folder / "tensorboard").iterdir():
        events = EventAccumulator(str(run)).Reload()
        names = events.Tags()["scalars"]
        found[run.name] = {name: {e.step: e.value for e in events.Scalars(name)} for name in names}
    return found


def of_wandb(folder: Path, project: str) -> Curves:
    from wandb.proto.wandb_internal_pb2 import Record

    found: Curves = {}
    for path in (folder / "wandb").glob("offline-run-*/*.wandb"):
        records = [Record.FromString(data) for data in _parts(path.read_bytes())]
        (about,) = {(r.run.display_name, r.run.project) for r in records if r.HasField("run")}
        assert about[1] == project
        curves = found.setdefault(about[0], {})
        for history in (r.history for r in records if r.HasField("history")):
            # What is about a table has names with parts of its own.
            told = {i.key or i.nested_key[0]: i.value_json for i in history.item if len(i.nested_key) < 2}
            for name, value in told.items():
                if isinstance(number := json.loads(value), float | int) and not name.startswith("_"):
                    curves.setdefault(name, {})[history.step.num] = number
    return found


def _parts(data: bytes) -> Iterator[bytes]:
    """The records of a file of LevelDB's log format."""
    at, whole = BEGIN, b""
    while at + HEADER.size <= len(data):
        if BLOCK - at % BLOCK < HEADER.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        at += HEADER.size
        whole += data[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            yield whole
            whole = b""


def of_mlflow(folder: Path, project: str) -> Curves:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(project)
    found: Curves = {}
    for run in client.search_runs([experiment.experiment_id]):
        history = {n: client.get_metric_history(run.info.run_id, n) for n in run.data.metrics}
        found[run.info.run_name] = {n: {m.step: m.value for m in told} for n, told in history.items()}
    return found


def of_trackio(folder: Path, project: str) -> Curves:
    import sqlite3

    found: Curves = {}
    with sqlite3.connect(folder / "trackio" / f"{project}.db") as database:
        rows = list(database.execute("SELECT run_name, step, metrics FROM metrics"))
    for run, step, metrics in rows:
        for name, value in json.loads(metrics).items():
            found.setdefault(run, {}).setdefault(name, {})[step] = value
    return found


READERS: Mapping[str, Callable[[Path, str], Curves]] = {
    "tensorboard": of_tensorboard,
    "wandb": of_wandb,
    "mlflow": of_mlflow,
    "trackio": of_trackio,
}


def offline(folder: Path) -> dict[str, str]:
    """The environment in which nothing leaves this machine."""
    return {
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "TRACKIO_DIR": str(folder / "trackio"),
    }
