"""Arena-Hard as the registry has it: settings, data, columns, export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmarks.api import Answer, JudgedBenchmark, Question
from benchmarks.arena_hard import benchmark, files
from benchmarks.declaration import (
    BASELINE,
    Benchmark,
    ComparedSettings,
    DataSet,
    JudgedAnswers,
    Presentation,
    QuestionSizes,
    TypicalUsage,
)
from benchmarks.referee import Referee

FOLDER = Path(__file__).parent
DATA_SET = DataSet.pinned(FOLDER / "data.json")


class ArenaHardSettings(ComparedSettings):
    """Both orders always; each version has questions, prompt, baselines and aggregation of its own."""

    version: Literal["v0.1", "v2.0"] = "v0.1"
    """Which questions, prompt, baselines and way to add up."""


def load(folder: Path, settings: ArenaHardSettings) -> tuple[list[Question], JudgedBenchmark]:
    """The version's questions and prompt."""
    return benchmark.load(folder, version=settings.version, max_tokens=settings.max_tokens)


def stored(folder: Path, settings: ArenaHardSettings, model: str) -> dict[str, Answer]:
    """A model's answers, or those of the version's baselines."""
    return benchmark.stored(folder, settings.version, None if model == BASELINE else model)


def export(out: Path, judged: Sequence[JudgedAnswers]) -> None:
    """baseline/model_answer/ADPA.jsonl and baseline/model_judgment/gpt-4/ADPA.jsonl."""
    for one in judged:
        folder = out / one.reference_folder
        files.write_answers(folder, one.row, one.answers.values(), one.questions)
        baseline = None if one.reference == BASELINE else one.reference
        files.write_judgments(folder, one.judge, one.row, one.judgments, baseline)


REFEREE = Referee(
    "arena-hard-auto",
    FOLDER / "referee.py",
    {
        "half-judged": "v0.1 counts the one verdict of a question that has no other, as the tool of 2024; "
        "that of 2025 leaves the question out",
    },
    checkout="https://github.com/lmarena/arena-hard-auto",
)
BENCHMARK = Benchmark(
    name="arena-hard",
    settings=ArenaHardSettings,
    metric="win_rate",
    presentation=Presentation.described(FOLDER / "presentation.json", "arena-hard"),
    data_set=DATA_SET,
    load=load,
    stored=stored,
    revision=2,  # equal answers are ties, and Markdown is counted per tokens + 1
    sizes=QuestionSizes(500, prompt=350, max_tokens=4096),
    usage=TypicalUsage(500, 1_000, 1_100_000, 800_000),
    export=export,
    referee=REFEREE,
)
