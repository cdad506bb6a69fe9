"""The folder of a row's model as the hub wants it: weights, tokenizer, template, generation config, card."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from harness.common.files import check_new
from harness.common.suggest import meant, nearest
from harness.results.hub import card
from harness.results.hub.card import Card
from harness.results.records import RowKey
from harness.store import maintenance
from harness.train.costs import TRAIN
from harness.train.select_checkpoint import SELECT
from reports.records.run_folder import Rows

PLACES = ("_name_or_path", "name_or_path")  # where a config says what it was read from
CONFIGS = ("config.json", "tokenizer_config.json")


class Asked(NamedTuple):
    """A row as it is typed; None where nothing is."""

    method: str
    pair: str | None = None
    dataset: str | None = None
    world_seed: int | None = None
    seed: int | None = None


class Found(NamedTuple):
    """A checkpoint's row, its artifact, KIND-ID, and the seeds that the row was trained with."""

    key: RowKey
    artifact: str
    seeds: list[int]


def found(rows: Rows, asked: Asked) -> Found:
    """The one checkpoint that is meant, of several seeds the least; ValueError where none or several are."""
    methods = list(dict.fromkeys(r.method for r in rows.records))
    method = meant(asked.method, methods)
    if method not in methods:
        raise ValueError(f"no row {method!r}; {nearest(method, methods)}")
    left: dict[RowKey, str] = {}
    for r in (r for r in rows.records if r.method == method and r.artifacts):
        left.setdefault(RowKey.of(r), r.artifacts[0])
    if not left:
        raise ValueError(f"{method}: nothing was measured of it")
    if {artifact.partition("-")[0] for artifact in left.values()} - {TRAIN.name, SELECT.name}:
        raise ValueError(f"{method}: not trained in this run, so that it is not the run's to push")
    seeds: list[int] = []
    for name in ("pair", "dataset", "world_seed", "seed"):
        known = sorted({getattr(key, name) for key in left})
        given, option = getattr(asked, name), f"--{name.replace('_', '-')}"
        if given is None and len(known) > 1 and not name.endswith("seed"):
            raise ValueError(f"{method} is a row of several; {option} {' or '.join(known)}")
        if given not in (None, *known):
            raise ValueError(f"{option} {given}: {method} has {', '.join(map(str, known))}")
        seeds = known
        left = {k: a for k, a in left.items() if getattr(k, name) == (known[0] if given is None else given)}
    ((key, artifact),) = left.items()
    return Found(key, artifact, seeds)


def write(artifact: str, told: Card, to: Path, runs: Path) -> None:
    """Write the folder `to`, which must not exist, whole or not at all."""
    check_new(to, "--out")
    to.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}") as scratch:
        aside = Path(scratch) / to.name
        maintenance.export(artifact, runs, aside)
        for name in CONFIGS:
            _without_places(aside / name)
        if told.origin.template:  # what it was trained with, and not its tokenizer's own
            (aside / "chat_template.jinja").write_text(told.origin.template, encoding="utf-8")
        (aside / "README.md").write_text(card.text(told), encoding="utf-8")
        aside.rename(to)


def _without_places(path: Path) -> None:
    """Leave out of a config where on this machine a model was read from."""
    if path.is_file():
        held = json.loads(path.read_bytes())
        kept = {name: value for name, value in held.items() if name not in PLACES}
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
