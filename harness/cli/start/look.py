"""What `bench init` looks at before it writes: models, data, names and a judge, by the code of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import methods
from harness.common import hub
from harness.common.suggest import nearest
from harness.common.tokenizer import Tokenizer, check_same_tokens, load_config, load_tokenizer
from harness.data import datasets
from harness.data.chat_format import FILES
from harness.data.datasets import Source
from harness.data.layouts import DIALOGUES, PAIRS, Layout, Pair
from harness.endpoints import prices, session
from harness.models import weights
from harness.suite.from_command_line import BenchmarkArguments, declared_of, judge_entry, settings_of
from harness.suite.judging import JudgeArguments, judges_of
from harness.suite.loading import Known

T = TypeVar("T")
LONGEST = 1024  # tokens, where the models read as many


@dataclass(frozen=True)
class Given:
    """What is one's own: models as folders or hub ids, data as files or hub ids, a judge, and names."""

    teacher: str
    student: str
    preference: str
    sft: str | None
    validation: str | None
    judge: JudgeArguments | None
    benchmarks: Sequence[str]
    methods: Sequence[str]
    chat_template: str | None


def faults(given: Given, known: Known) -> list[str]:
    """A line for each thing that is not as a run needs it; none where all is."""
    looks: dict[str, Callable[[], object]] = {
        "--teacher": lambda: _model(given.teacher),
        "--student": lambda: _model(given.student),
        "--preference": lambda: pairs(given.preference),
        "--sft": lambda: given.sft and _rows(given.sft, DIALOGUES),
        "--validation": lambda: given.validation and pairs(given.validation),
        "--methods": lambda: _methods(given.methods),
        "--bench": lambda: benchmarks(given, known),
        "--judge": lambda: judges(given, known),
    }
    found = {flag: line for flag, look in looks.items() if (line := _fault(look))}
    if not {"--teacher", "--student"} & found.keys():
        found["--teacher and --student"] = _fault(lambda: _one_tokenizer(given))
    return [f"{flag}: {line}" for flag, line in found.items() if line]


def _fault(look: Callable[[], object]) -> str:
    try:
        look()
    except (ValueError, OSError) as fault:
        return " ".join(str(fault).split())
    return ""


def _model(ref: str) -> None:
    with hub.unresolved_allowed():  # without a network a hub id is only planned with
        weights.fingerprint(ref)
    if (folder := Path(ref)).is_dir():
        weights.check(folder)
        load_tokenizer(folder)


def pairs(path: str) -> list[Pair]:
    """The usable preferences of a file; none of a hub id, which is read when it is run."""
    return _rows(path, PAIRS)


def _rows(path: str, layouts: Sequence[Layout[T]]) -> list[T]:
    source = Source(path)
    if datasets.local_path(source):
        return datasets.load(source, layouts).rows
    with hub.unresolved_allowed():
        datasets.fingerprint(source)
    return []


def _methods(names: Sequence[str]) -> None:
    known = list(methods.registry())
    for name in names:
        if name not in known:
            raise ValueError(f"no method {name!r}; {nearest(name, known)}")


def benchmarks(given: Given, known: Known) -> tuple[dict[str, Any], list[tuple[str, Any, str]]]:
    """The settings of each benchmark that was asked for; and of those whose data is not here, with why."""
    from harness.evaluate import benchmark_files

    here: dict[str, Any] = {}
    waiting: list[tuple[str, Any, str]] = []
    for name in given.benchmarks:
        declared = declared_of(name, known)
        settings = settings_of(declared, BenchmarkArguments(given.judge))
        data = declared.data_set
        if data and (why := _fault(lambda data=data: benchmark_files.find(data))):  # type: ignore[misc]
            waiting.append((name, settings, why))
        else:
            here[name] = settings
    return here, waiting


def judges(given: Given, known: Known) -> dict[str, dict[str, Any]]:
    """The entry of the judge, by its name; ValueError for settings that it cannot have."""
    if given.judge is None:
        return {}
    entries = {given.judge.name: judge_entry(given.judge, known)}
    judges_of(entries, known.judges, "bench init")
    return entries


def silence(entries: Mapping[str, Mapping[str, Any]], known: Known) -> list[str]:
    """A line for each judge that does not answer one word, as a run asks it before any work."""

    def ask(name: str) -> None:
        _, kind, settings = judges_of(entries, known.judges, "bench init")[name]
        with (
            TemporaryDirectory() as folder,
            session.open_session(prices.load(None), None, None, Path(folder), Path(folder)),
        ):
            kind.check(kind.endpoint(settings) if kind.endpoint else {}, [])

    found = {name: _fault(lambda name=name: ask(name)) for name in entries}  # type: ignore[misc]
    return [f"judge {name}: {fault}" for name, fault in found.items() if fault]


def tokenizer_of(ref: str) -> Tokenizer | None:
    """The tokenizer of a model; None where it is not here and the hub does not give it."""
    folder: Path | None = Path(ref)
    if not Path(ref).is_dir():
        with hub.unresolved_allowed():
            folder = hub.model_files(weights.fingerprint(ref), ["config.json", *FILES])
    return load_tokenizer(folder) if folder else None


def _one_tokenizer(given: Given) -> None:
    student, teacher = (tokenizer_of(ref) for ref in (given.student, given.teacher))
    if student and teacher:
        check_same_tokens(student, teacher, (given.student, given.teacher))


def longest(given: Given) -> int:
    """Tokens of the longest rows that both models were made for."""
    folders = [folder for ref in (given.teacher, given.student) if (folder := Path(ref)).is_dir()]
    # Not every architecture has a number of positions.
    of_models = (
        getattr(load_config(folder).get_text_config(), "max_position_embeddings", None) for folder in folders
    )
    return min([LONGEST, *(int(most) for most in of_models if most)])
