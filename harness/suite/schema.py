"""A suite: which models, data, methods and benchmarks are compared, as strict YAML (version 1.2).

An unknown key is an error that names the nearest known one; `extends: pocket` takes the keys of another
suite, to which a file's own are added; `--set a.b=value` overrides one key.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, InstanceOf, model_validator

from harness.common.suggest import nearest
from harness.common.text import cut
from harness.data.fitted import DROP, TooLong
from harness.data.layouts import AUTO, DIALOGUES, PAIRS, known_layout
from harness.models.decoding.decoder import LEAST_TEMPERATURE, Decoder, DecodingDtype, DecodingEngine
from harness.pocket.build import World
from harness.suite.benchmarks import Benchmarks, ExternalModel
from harness.suite.judging import ChosenJudge
from harness.suite.training import Engine, PreferenceStage, TrainingSpec
from harness.suite.validation import Name, Strict

Seed = Annotated[int, Field(ge=0)]


def _each_once(given: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(given)) < len(given):
        raise ValueError(
            f"given {cut(repr(list(given)))}; each seed is a row of its own, so none stands there twice"
        )
    return given


def _tried_once(given: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(given)) < len(given):
        raise ValueError(f"given {cut(repr(list(given)))}; each value is tried once")
    return given


Tried = Annotated[tuple[float, ...], AfterValidator(_tried_once)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_each_once)]
MOST_SEEDS = 1_000


def _seeds(given: int) -> int:
    if not 0 < given <= MOST_SEEDS:
        raise ValueError(f"given {given}; a number of seeds is from 1 to {MOST_SEEDS:,}")
    return given


SeedCount = Annotated[int, Field(ge=0), AfterValidator(_seeds)]  # 3: seeds 0, 1 and 2
OTHERS = "*"  # all rows that are not named


class Architecture(Strict):
    """A Llama that is pretrained from scratch; its vocabulary is the tokenizer's, its embeddings are tied."""

    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    ffn: int = Field(gt=0)
    rope_theta: float = Field(10_000.0, gt=0)
    initializer_range: float = Field(0.02, gt=0)

    @model_validator(mode="after")
    def _heads_share_hidden(self) -> "Architecture":
        # Rotary positions turn a head's numbers in pairs.
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is a multiple of twice the heads ({2 * self.heads}), not {self.hidden}")
        return self


class Student(Strict):
    """The model that is aligned. base: a local folder, a hub id (name@revision), or an architecture to
    pretrain.
    """

    base: str | Architecture
    pretrain: TrainingSpec | None = None
    sft: TrainingSpec | None = None


class Teacher(Student):
    """The model that guides: after `sft` it is the reference teacher, after `dpo` the teacher."""

    dpo: PreferenceStage | None = None


class ModelPair(Strict):
    """A teacher and a student of one tokenizer."""

    teacher: Teacher
    student: Student


class Data(Strict):
    """A data file or hub id; skip and limit count usable rows. A path "world/..." lies in the generated
    world.
    """

    path: str
    split: str = "train"
    revision: str | None = None
    layout: Annotated[str, AfterValidator(partial(known_layout, PAIRS))] = AUTO
    limit: int | None = Field(None, gt=0)
    skip: int = Field(0, ge=0)


class ChatData(Data):
    """Dialogues for the SFT stages; packed into sequences of `max_length` or one by one."""

    layout: Annotated[str, AfterValidator(partial(known_layout, DIALOGUES))] = AUTO
    pack: bool = False
    loss_on: Literal["responses", "all"] = "responses"


class Dataset(Strict):
    """A preference data set, and the dialogues of the SFT stages before it."""

    sft: ChatData | None = None
    preference: Data
    validation: Data | None = None


class Generation(Strict):
    """How the models answer the training prompts; and what computes these answers, those to held-out prompts
    and those to benchmarks' questions: this program, or a server of vllm that is started for each step, with
    `arguments` as further ones of its command line.
    """

    max_tokens: int = Field(512, gt=0)
    temperature: float | None = Field(None, ge=0)  # None: as each method's recipe says
    engine: DecodingEngine = "own"
    dtype: DecodingDtype = "float32"
    arguments: tuple[str, ...] = ()

    @property
    def decoder(self) -> Decoder:
        """What computes answers, as a part of their identity."""
        return Decoder(self.engine, self.dtype, self.arguments)

    @model_validator(mode="after")
    def _said_to_the_engine(self) -> "Generation":
        if self.arguments and self.engine != "vllm":
            raise ValueError(f"arguments: given {list(self.arguments)}; only engine: vllm has them")
        if self.engine == "vllm" and 0 < (self.temperature or 0) < LEAST_TEMPERATURE:
            allowed = f"engine: vllm takes 0, or {LEAST_TEMPERATURE} and more"
            raise ValueError(f"temperature: given {self.temperature}; {allowed}")
        return self


def _asks(form: str) -> str:
    """A form with all that a question shows, and nothing else in braces."""
    shown = {"question": "\U0010f0a0", "a": "\U0010f0a1", "b": "\U0010f0a2"}  # of private use
    try:
        text = form.format(**shown)
    except (LookupError, ValueError, AttributeError) as e:
        raise ValueError(f"given {form!r}; braces of the text itself are doubled, {e!r}") from None
    if missing := [name for name, mark in shown.items() if mark not in text]:
        raise ValueError(f"given {form!r}; it lacks {', '.join(f'{{{name}}}' for name in missing)}")
    return form


class Probe(Strict):
    """How the teacher is asked which of two responses is better: a question with {question}, {a} and {b}, the
    two options, and how many tokens of a response it is shown.
    """

    question: Annotated[str, AfterValidator(_asks)] = (
        "Which of two responses to an instruction is better? Answer with one letter, A or B.\n\n"
        "Instruction:\n{question}\n\nResponse A:\n{a}\n\nResponse B:\n{b}\n\nThe better response is:"
    )
    options: tuple[str, str] = ("A", "B")
    max_tokens: int = Field(2500, gt=0)


class Selection(Strict):
    """Which checkpoint of a last stage is its result: the one whose greedy answers to the held-out prompts a
    reward model likes best, of those kept every so many epochs.
    """

    by: Literal["reward", "last"] = "reward"
    every: float = Field(0.5, gt=0)  # epochs
    model: str = "sfairXC/FsfairX-LLaMA3-RM-v0.1"
    max_tokens: int = Field(512, gt=0)
    dtype: Literal["float32", "bfloat16"] = "float32"


STORE = "store"  # the artifacts' folder below --runs


def _is_no_store(given: str) -> str:
    # Of file systems that do not tell upper case from lower, too.
    if given.lower() == STORE:
        raise ValueError(f"given {given!r}; that is the folder of the artifacts, choose another name")
    return given


# A run's folder below --runs.
RunName = Annotated[Name, Field(pattern=r"^[A-Za-z0-9._+=,-]+$"), AfterValidator(_is_no_store)]


class Suite(Strict):
    """One comparison. seeds drive the student's last stage, world_seeds everything before it: both models'
    own stages and what they write; each of these has every seed. {SFT: 5, "*": 1}: a row's own seeds, a list
    or how many from 0, and those of all others, else one. too_long: what becomes of rows of more than
    max_length tokens (harness/data/fitted.py).

    `models` are rows that are measured as they are; a suite of these alone trains nothing.
    """

    name: RunName
    seeds: Seeds | dict[str, SeedCount | Seeds] = (0,)
    world_seeds: Seeds = (0,)
    world: World | None = None
    max_length: int = Field(1024, gt=1)
    too_long: TooLong = DROP
    chat_template: str | None = None
    precision: Literal["no", "bf16", "fp16"] = "no"
    teacher_dtype: Literal["float32", "bfloat16"] = "float32"
    pairs: dict[Name, ModelPair] = Field(default_factory=dict)
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    models: dict[Name, ExternalModel] = Field(default_factory=dict)
    pickled_weights: bool = False  # whether models from outside may have `.bin` weights
    judges: dict[Name, InstanceOf[ChosenJudge]] = Field(default_factory=dict)
    generation: Generation = Generation()
    probe: Probe = Probe()
    signals: Literal["stored", "live"] = "stored"
    training: TrainingSpec = TrainingSpec()
    engine: Engine = Engine()
    selection: Selection | None = None
    methods: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    benchmarks: InstanceOf[Benchmarks]
    tuning: dict[str, dict[str, Tried]] = Field(default_factory=dict)  # method -> setting -> values

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
        # As files of answers and exports are named.
        trained = (*UNTRAINED, *self.methods) if self.pairs else ()
        files = {_file(name): name for name in trained}
        for name in self.models:
            if name == OTHERS:
                raise ValueError(f"models.{OTHERS}: seeds mean all other rows by it; choose another name")
            if (other := files.get(_file(name))) is not None:
                raise ValueError(f"models.{name}: there is a row {other}, whose files have the same names")
            files[_file(name)] = name
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


def _file(row: str) -> str:
    return row.replace("/", "_")


def row_count(suite: Suite) -> int:
    """How many rows a suite has in all its tables."""
    trained = len(suite.pairs) * len(suite.datasets) * len(suite.world_seeds)
    cells = trained * len(suite.seeds_by_row([*UNTRAINED, *suite.methods]))
    return cells + len(suite.seeds_by_row(list(suite.models)))
