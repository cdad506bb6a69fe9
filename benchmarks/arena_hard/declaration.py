"""Arena-Hard as the registry has it: settings, data, columns, export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmarks.api import Answer, JudgedBenchmark, Question
from benchmarks.arena_hard import benchmark, files
from benchmarks.declaration import (
    BASELINE,
    Benchmark,
    Column,
    ComparedSettings,
    DataFile,
    DataSet,
    JudgedAnswers,
    Presentation,
    QuestionSizes,
    TypicalUsage,
)

HOME = "https://raw.githubusercontent.com/lmarena/arena-hard-auto/196f6b826783b3da7310e361a805fa36f0be83f3"
DATA_SET = DataSet(
    name="arena-hard",
    licence="Apache-2.0 (lmarena/arena-hard-auto)",
    files=(
        DataFile(
            "question_v0.1.jsonl",
            f"{HOME}/data/arena-hard-v0.1/question.jsonl",
            "2650242d2883f22b2abd498f273b6a7e02253cce533f5c91a858e1d44aa3002f",
        ),
        DataFile(
            "model_answer_v0.1_gpt-4-0314.jsonl",
            f"{HOME}/data/arena-hard-v0.1/model_answer/gpt-4-0314.jsonl",
            "0f6abc84de4600fde987d9db70f838f4ecdbd27a2f1f4058c12aa322a6f791b2",
        ),
        DataFile(
            "arena-hard-v0.1.yaml",
            f"{HOME}/config/arena-hard-v0.1.yaml",
            "87ac45a188421218349697b5eda95cc77f6e60b6f61495d67d8cfebba3210528",
            needed=False,
        ),
        DataFile(
            "question_v2.0.jsonl",
            f"{HOME}/data/arena-hard-v2.0/question.jsonl",
            "a75cef6623db6b27aec810497b059f0659705d7ff48dcbccc5bd5b130728ac73",
            needed=False,
        ),
        DataFile(
            "model_answer_v2.0_o3-mini-2025-01-31.jsonl",
            f"{HOME}/data/arena-hard-v2.0/model_answer/o3-mini-2025-01-31.jsonl",
            "c23a7c255eead99f7f86ad48aa1d8ccdb5b3334f2097e0e1e09184df87265e03",
            needed=False,
        ),
        DataFile(
            "model_answer_v2.0_gemini-2.0-flash-001.jsonl",
            f"{HOME}/data/arena-hard-v2.0/model_answer/gemini-2.0-flash-001.jsonl",
            "70f614e1345f787a1da98c239d27f6df3c1d26b411cf894949f934a3039d6f0b",
            needed=False,
        ),
        DataFile(
            "arena-hard-v2.0.yaml",
            f"{HOME}/config/arena-hard-v2.0.yaml",
            "ee68e5c6ac98a79720bf11014fc3f7fc3c3e5899153b3b08efe3db0e174215a0",
            needed=False,
        ),
    ),
)


class ArenaHardSettings(ComparedSettings):
    """Both orders always; each version has questions, prompt, baselines and aggregation of its own."""

    version: Literal["v0.1", "v2.0"] = "v0.1"


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
        files.write_judgments(folder, one.judge, one.row, one.judgments)


BENCHMARK = Benchmark(
    name="arena-hard",
    settings=ArenaHardSettings,
    metric="win_rate",
    presentation=Presentation(
        title="Arena-Hard",
        columns=(
            Column(
                "win_rate",
                "Arena-Hard (%)",
                "share",
                aggregate="summary",
                bounds=("low", "high"),
                count="n",
                note="Arena-Hard's weights for clear verdicts; interval: bootstrap over questions, both "
                "games together",
                published={"pad": "arena_hard"},
            ),
        ),
    ),
    data_set=DATA_SET,
    load=load,
    stored=stored,
    sizes=QuestionSizes(500, prompt=350, max_tokens=4096),
    usage=TypicalUsage(500, 1_000, 1_100_000, 800_000),
    export=export,
)
