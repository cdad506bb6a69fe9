"""The rows that a run's folder holds already: those of the same settings stay in its tables.

settings.json   {"suite": "pocket", "set": ["methods.DCKD.alpha=0.5"], "method_file": null,
                 "methods": ["DCKD"], "models": {}, "measured": "3f9c...", "rows": 3}
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from benchmarks.file_bytes import told
from harness.common.secrets.redaction import texts_without_secrets
from harness.plan.plan import Plan, ordered
from harness.store.step import Step
from harness.suite.benchmarks import ExternalModel
from harness.suite.schema import UNTRAINED, Suite
from reports.records import jsonl

SETTINGS = "settings.json"
MOST = 2**31 - 1  # rows


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True)
class Settings:
    """What a run's folder is of: a suite and what `--set` changed of it, a method file, and its rows.

    `models` are the specifications of rows that are measured as they are; `measured` is a hash of by what;
    `rows` is how many there are, None in a folder of an older version.
    """

    suite: str
    set: Sequence[str] = ()
    method_file: str | None = None
    methods: Sequence[str] = ()
    models: Mapping[str, Any] = field(default_factory=dict)
    measured: str = ""
    rows: Annotated[int, Field(ge=0, le=MOST)] | None = None

    def of_rows(self, plan: Plan, method_file: str | None) -> "Settings":
        """The same with the rows of a plan, some of which may be of a method file."""
        models = {name: model.model_dump(mode="json") for name, model in plan.suite.models.items()}
        rows = [n for n in dict.fromkeys(c.method for c in plan.cells) if n not in (*UNTRAINED, *models)]
        count = len({(cell.pair, cell.dataset, cell.method) for cell in plan.cells})
        return replace(self, method_file=method_file, methods=rows, models=models, rows=count)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        jsonl.replace(folder / SETTINGS, json.dumps(texts_without_secrets(asdict(self)), indent=1))


def read(folder: Path) -> Settings | None:
    """The settings of a run's folder; None where it has none, or none that can be read."""
    try:
        return checked(folder)
    except (OSError, ValueError):
        return None


def checked(folder: Path) -> Settings | None:
    """The settings of a run's folder; None where it has none. ValueError for what are none."""
    path = folder / SETTINGS
    if not path.exists():
        return None
    with told(path):
        if not path.is_file():  # who reads a pipe waits for somebody to write
            raise ValueError(f"{path}: no file; the same `bench run` writes it anew")
        content = path.read_bytes()
    try:
        return TypeAdapter(Settings).validate_json(content)
    except ValidationError as e:
        raise ValueError(f"{path}: not the settings of a run: {jsonl.first_fault(e)}") from e


def measured_by(suite: Suite) -> str:
    """A hash of all that a suite measures its rows by."""
    judges = [(name, judge.kind.name, repr(judge.settings)) for name, judge in suite.judges.items()]
    chosen = [(name, repr(one.settings)) for name, one in suite.benchmarks.chosen.items()]
    no_measure = {"name", "models", "engine", "health", "track", "judges", "benchmarks", "tuning", "tuned"}
    rest = suite.model_dump(mode="json", exclude=no_measure)
    return hashlib.sha256(json.dumps([judges, chosen, rest]).encode()).hexdigest()


def free_name(name: str, measured: str, runs: Path) -> str:
    """The name, or the first of name-2, name-3, ... whose folder is not of something else."""
    for number in count(1):
        tried = name if number == 1 else f"{name}-{number}"
        found = read(runs / tried)
        if found.measured == measured if found else not (runs / tried / "results.jsonl").is_file():
            return tried
    raise AssertionError("count never ends")


def with_earlier_rows(
    plan: Plan,
    before: Settings | None,
    is_done: Callable[[Step], bool],
    plan_of: Callable[[Suite, Sequence[str]], Plan],
) -> tuple[Plan, list[str], list[str]]:
    """A finished plan and the rows that were there before it, the names of these, and of those that are left
    out: their settings are others now, or what they are made of is gone. `plan_of` plans a suite's methods.
    """
    suite, here = plan.suite, {cell.method for cell in plan.cells}
    if before is None or not (lacking := [n for n in (*before.methods, *before.models) if n not in here]):
        return plan, [], []
    whole = None
    # A method of a file that is no more, or a folder, takes no other row with it.
    for names in (lacking, [n for n in lacking if n in suite.methods]):
        try:
            whole = _wider(plan, before, names, plan_of)
            break
        except ValueError:
            continue
    kept = [n for n in names if whole and all(is_done(s) for s in _steps(whole, n))]
    left = [n for n in lacking if n not in kept]
    return _wider(plan, before, kept, plan_of) if kept else plan, kept, left


def lines(kept: Sequence[str], left: Sequence[str], folder: Path, unread: bool) -> Iterator[str]:
    """What is to be told of rows that stay in a folder, and of those that do not; `unread`: nobody can read
    which rows it had.
    """
    if unread:
        yield f"{folder / SETTINGS} cannot be read: rows of earlier runs are no more in the tables"
    if kept:
        yield f"Rows of earlier runs of these settings stay in the tables: {', '.join(kept)}"
    if left:
        yield f"Rows no more in {folder}, of other settings or not in the store: {', '.join(left)}"


def _wider(
    plan: Plan, before: Settings, names: Sequence[str], plan_of: Callable[[Suite, Sequence[str]], Plan]
) -> Plan:
    models = {n: ExternalModel.model_validate(m) for n, m in before.models.items() if n in names}
    suite = plan.suite.model_copy(update={"models": models | plan.suite.models})
    rows = dict.fromkeys([*(cell.method for cell in plan.cells), *names])
    return plan_of(suite, [m for m in rows if m not in (*UNTRAINED, *suite.models)])


def _steps(plan: Plan, method: str) -> Sequence[Step]:
    """All that the rows of a name are made of."""
    cells = [cell for cell in plan.cells if cell.method == method]
    sources = [cell.source for cell in cells if isinstance(cell.source, Step)]
    return ordered([*sources, *(s for cell in cells for m in cell.measures.values() for s in m.values())])
