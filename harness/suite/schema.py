"""A suite: which models, data, methods and benchmarks are compared, as strict YAML (version 1.2).

An unknown key is an error that names the nearest known one; `extends: pocket` takes the keys of another
suite, to which a file's own are added; `--set a.b=value` overrides one key.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, InstanceOf, model_validator

from harness.common.suggest import nearest
from harness.common.text import cut, same_on_some_disk
from harness.data.fitted import DROP, TooLong
from harness.pocket.build import World
from harness.suite.benchmarks import Benchmarks, ExternalModel
from harness.suite.judging import ChosenJudge
from harness.suite.parts.data import Dataset
from harness.suite.parts.generation import Generation, Probe
from harness.suite.parts.models import ModelPair
from harness.suite.parts.tracking import Trackers
from harness.suite.training import Engine, Health, Selection, TrainingSpec
from harness.suite.tuning.section import Tuning
from harness.suite.validation import Name, Strict

Seed = Annotated[int, Field(ge=0)]


def _each_once(given: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(given)) < len(given):
        raise ValueError(
            f"given {cut(repr(list(given)))}; each seed is a row of its own, so none stands there twice"
        )
    return given


Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_each_once)]
MOST_SEEDS = 1_000


def _seeds(given: int) -> int:
    if not 0 < given <= MOST_SEEDS:
        raise ValueError(f"given {given}; a number of seeds is from 1 to {MOST_SEEDS:,}")
    return given


SeedCount = Annotated[int, Field(ge=0), AfterValidator(_seeds)]  # 3: seeds 0, 1 and 2
OTHERS = "*"  # all rows that are not named


STORE = "store"  # the artifacts' folder below --runs


def _is_no_store(given: str) -> str:
    # Of file systems that do not tell upper case from lower, too.
    if given.lower() == STORE:
        raise ValueError(f"given {given!r}; that is the folder of the artifacts, choose another name")
    return given


def _plain(given: str) -> str:
    # A dash first is an option's, a dot hides a folder, and a table reads = and + as formulas.
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9._+=,-]*", given):
        raise ValueError(f"given {cut(repr(given))}; letters, digits and . _ + = , - behind the first letter")
    return given


# A run's folder below --runs.
RunName = Annotated[Name, AfterValidator(_plain), AfterValidator(_is_no_store)]


class Suite(Strict):
    """One comparison; its attributes' docstrings, and those of its parts, make docs/suite.md."""

    name: RunName
    """What the results' folder is called, `runs/NAME`."""
    seeds: Seeds | dict[str, SeedCount | Seeds] = (0,)
    """Seeds of a student's last stage; by row too: `{SFT: 5, "*": 1}`, how many from 0, or a list."""
    world_seeds: Seeds = (0,)
    """Seeds of all that comes before: both models' own stages and what they write. Each has every seed."""
    world: World | None = None
    """A generated world to learn and be asked about, read as `world/...`; none, if absent."""
    max_length: int = Field(1024, gt=1)
    """The most tokens of a prompt and its response, and of a dialogue."""
    too_long: TooLong = DROP
    """What becomes of longer rows: left out, or cut; either is counted."""
    chat_template: str | None = None
    """A Jinja template for all models; each tokenizer's own, if absent."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Autocast of training. Weights, optimizer and checkpoints stay float32."""
    teacher_dtype: Literal["float32", "bfloat16"] = "float32"
    """What frozen teachers compute in."""
    pairs: dict[Name, ModelPair] = Field(default_factory=dict)
    """Teachers with their students; each pair is a block of rows."""
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    """Each pair learns from each data set."""
    models: dict[Name, ExternalModel] = Field(default_factory=dict)
    """Rows that are measured as they are; a suite of these alone trains nothing."""
    pickled_weights: bool = False
    """Whether models from outside may have pickled weights (`.bin`)."""
    judges: dict[Name, InstanceOf[ChosenJudge]] = Field(default_factory=dict)
    """Who reads answers, by the names that benchmarks use."""
    generation: Generation = Generation()
    """How models answer."""
    probe: Probe = Probe()
    """How the teacher is asked which of two responses is better."""
    signals: Literal["stored", "live"] = "stored"
    """What frozen models say is computed once and stored, or asked for at each step: the same numbers."""
    training: TrainingSpec = TrainingSpec()
    """Every method's last stage, where the method itself says nothing else in `methods`."""
    engine: Engine = Engine()
    """How training runs."""
    health: Health = Health()
    """What is taken for a lost training and for answers that collapsed, and what becomes of such a row."""
    track: Trackers = ()
    """Who is told of trainings and results: tensorboard, wandb, mlflow, trackio; no part of an id."""
    selection: Selection | None = None
    """Which checkpoint of a last stage is its result; the last one, if absent."""
    methods: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    """The rows that are trained, each with what it sets otherwise than was published; `{}` for nothing."""
    benchmarks: InstanceOf[Benchmarks]
    """What each row is measured by; null takes one of an extended suite away."""
    tuning: Tuning = Tuning()
    """How `bench tune` chooses the settings of methods; a run does not read it."""
    tuned: str | None = Field(None, min_length=1)
    """The folder of `bench tune` that the settings come from; its trials are kept beside a run's results."""

    @model_validator(mode="after")
    def _has_rows(self) -> "Suite":
        trained = {"pairs": self.pairs, "datasets": self.datasets, "methods": self.methods}
        missing = [name for name, part in trained.items() if not part]
        if missing and not (self.models and len(missing) == len(trained)):
            raise ValueError(
                f"missing: {', '.join(missing)} (or `models` alone, to measure without training)"
            )
        return self

    @model_validator(mode="after")
    def _rows_have_names_of_their_own(self) -> "Suite":
        if AS_THEY_ARE in self.pairs:
            raise ValueError(f"pairs.{AS_THEY_ARE}: rows that are not trained are called so; another name")
        if OTHERS in self.models:
            raise ValueError(f"models.{OTHERS}: seeds mean all other rows by it; choose another name")
        check_row_names(self, self.methods)
        _check_one_file_each([("judges", name) for name in self.judges])
        _check_one_file_each([("benchmarks", name) for name in self.benchmarks.chosen])
        return self

    @model_validator(mode="after")
    def _seeds_are_of_rows(self) -> "Suite":
        rows = [*self.methods, *UNTRAINED, *self.models]
        for name in self.seeds if isinstance(self.seeds, dict) else ():
            if name not in (*rows, OTHERS):
                known = nearest(name, [*rows, OTHERS])
                raise ValueError(f"seeds.{cut(name)}: no row {cut(repr(name))}; {known}")
        return self

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds of a row."""
        if not isinstance(self.seeds, dict):
            return self.seeds
        own = self.seeds.get(row, self.seeds.get(OTHERS, 1))
        return tuple(range(own)) if isinstance(own, int) else own

    def seeds_by_row(self, rows: Sequence[str]) -> list[tuple[int, str]]:
        """Each seed with each of these rows that has it, seed by seed."""
        seeds = dict.fromkeys(seed for row in rows for seed in self.seeds_of(row))
        return [(seed, row) for seed in seeds for row in rows if seed in self.seeds_of(row)]


UNTRAINED = TEACHER, STUDENT = "Teacher", "Student"  # rows of models before any method
AS_THEY_ARE = "models"  # in place of a pair, of rows that were not trained here


def check_row_names(suite: Suite, methods: Iterable[str]) -> None:
    """ValueError for two rows of a suite, with these methods, that files cannot both be called after."""
    rows = [("methods", name) for name in methods if name not in UNTRAINED]
    rows = [*(("rows", name) for name in UNTRAINED), *rows] if suite.pairs else []
    _check_one_file_each([*rows, *(("models", name) for name in suite.models)])


def _check_one_file_each(named: Sequence[tuple[str, str]]) -> None:
    """ValueError for two names, each with its section, that files of answers and exports cannot both have."""
    files: dict[str, str] = {}
    for section, name in named:
        file = same_on_some_disk(name)
        if (other := files.get(file)) is not None:
            what = {"judges": "judge", "benchmarks": "benchmark"}.get(section, "row")
            told = f"there is a {what} {cut(repr(other))}, whose files have the same names"
            raise ValueError(f"{section}.{cut(name)}: {told}")
        files[file] = name


def row_count(suite: Suite) -> int:
    """How many rows a suite has in all its tables."""
    trained = len(suite.pairs) * len(suite.datasets) * len(suite.world_seeds)
    cells = trained * len(suite.seeds_by_row([*UNTRAINED, *suite.methods]))
    return cells + len(suite.seeds_by_row(list(suite.models)))
