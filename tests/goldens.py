"""What must stay as it is while code moves: the id of every step, and every entry's loss.

    python -m tests.goldens ids.json      {"tiny": ["answers answers of ADPA eb9cd70debd8", ...], ...}
    python -m tests.goldens losses.json   {"DPO": {"terms": {"dpo": 0.69}, "gradient_norm": 1.2}, ...}
    python -m tests.goldens               both

An id changes only with a version bump, and a loss only with its formula; then the file is written anew.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from huggingface_hub import constants

import methods
from benchmarks.registry import DATA_SETS
from harness.common import hub
from harness.executors.options import Machine
from harness.plan.plan import plan
from harness.store.step import Step
from tests import suites
from tests.methods.synthetic import EVERYTHING, policy_for, step_of, world, written
from tests.paths import GOLDEN, TESTS, TINY

OWN = {
    "tiny": TINY,
    "tiny-all": str(TESTS / "tiny-all.yaml"),
    "pocket": "pocket",
    "pocket-all": "pocket-all",
}
PRESETS = (
    *("adpa-llama", "adpa-danube-1.8b", "adpa-danube-500m", "adpa-llama2", "adpa-ablation"),
    *("pad-gemma", "pad-llama", "smol", "real-text"),
)


@contextmanager
def offline(folder: Path) -> Iterator[None]:
    """No network, nothing cached, and benchmark data of empty files below a folder."""
    for name, source in DATA_SETS.items():
        for file in source.files:
            (folder / "data" / name / file.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / name / file.name).touch()
    with (
        mock.patch.object(hub, "_HUB", hub._HubState()),
        mock.patch.object(constants, "HF_HUB_OFFLINE", True),
        mock.patch.object(constants, "HF_HUB_CACHE", str(folder / "cache")),
        mock.patch.dict("os.environ", {"BENCH_DATA": str(folder / "data")}),
    ):
        yield


def planned(folder: Path) -> dict[str, tuple[Step, ...]]:
    """The steps of the shipped and the tests' suites, planned without a network."""
    with offline(folder), hub.unresolved_allowed():
        return {
            name: plan(suites.load(path), methods.registry(), Machine()).steps
            for name, path in (OWN | {name: name for name in PRESETS}).items()
        }


def ids(folder: Path) -> dict[str, list[str]]:
    """Kind, label and id of every step."""
    lines = {name: [f"{s.kind.name} {s.label} {s.id}" for s in of] for name, of in planned(folder).items()}
    return {name: sorted(of) for name, of in lines.items()}


def losses(folder: Path) -> dict[str, dict[str, object]]:
    """Terms and gradient norm of each entry's loss on the tests' synthetic world, in one batch."""
    found: dict[str, dict[str, object]] = {}
    for n, (name, method) in enumerate(methods.registry().items()):
        hp = method.hparams
        examples = written(world(), folder / str(n), method.needs(hp))
        terms, gradient = step_of(method, hp, policy_for(method, hp), examples, [EVERYTHING])
        norm = torch.stack([g.double().norm() for g in gradient.values()]).norm()
        found[name] = {"terms": {k: float(v) for k, v in terms.items()}, "gradient_norm": float(norm)}
    return found


MADE = {"ids.json": ids, "losses.json": losses}


def main() -> None:
    for name in sys.argv[1:] or MADE:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / name).write_text(json.dumps(MADE[name](Path(folder)), indent=0) + "\n")


if __name__ == "__main__":
    main()
