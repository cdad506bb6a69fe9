"""GSM8K as the registry has it: settings, data, columns."""

from pathlib import Path

from benchmarks.api import JudgedBenchmark, Question
from benchmarks.declaration import (
    Benchmark,
    Column,
    DataFile,
    DataSet,
    Presentation,
    QuestionSettings,
    QuestionSizes,
)
from benchmarks.gsm8k import benchmark

HOME = "https://raw.githubusercontent.com/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c"
DATA_SET = DataSet(
    name="gsm8k",
    licence="MIT (openai/grade-school-math)",
    files=(
        DataFile(
            "gsm8k_test.jsonl",
            f"{HOME}/grade_school_math/data/test.jsonl",
            "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
        ),
    ),
)


def load(folder: Path, settings: QuestionSettings) -> tuple[list[Question], JudgedBenchmark]:
    """The test questions, each as ZeroEval's whole prompt."""
    return benchmark.load(folder, max_tokens=settings.max_tokens or benchmark.MAX_TOKENS)


BENCHMARK = Benchmark(
    name="gsm8k-cot",
    settings=QuestionSettings,
    metric="accuracy",
    presentation=Presentation(
        title="GSM8K 0-shot CoT",
        columns=(Column("accuracy", "GSM8K 0-shot CoT (%)", "share", published={"pad": "gsm8k"}),),
    ),
    data_set=DATA_SET,
    load=load,
    unparsed=0.0,  # as upstream: no answer is a wrong one
    sizes=QuestionSizes(1319, prompt=250, max_tokens=benchmark.MAX_TOKENS),
)
