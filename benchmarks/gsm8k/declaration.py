"""GSM8K as the registry has it: settings, data, columns."""

from pathlib import Path

from benchmarks.api import JudgedBenchmark, Question
from benchmarks.declaration import (
    Benchmark,
    DataSet,
    Presentation,
    QuestionSettings,
    QuestionSizes,
)
from benchmarks.gsm8k import benchmark

FOLDER = Path(__file__).parent
DATA_SET = DataSet.pinned(FOLDER / "data.json")


def load(folder: Path, settings: QuestionSettings) -> tuple[list[Question], JudgedBenchmark]:
    """The test questions, each as ZeroEval's whole prompt."""
    return benchmark.load(folder, max_tokens=settings.max_tokens or benchmark.MAX_TOKENS)


BENCHMARK = Benchmark(
    name="gsm8k-cot",
    settings=QuestionSettings,
    metric="accuracy",
    presentation=Presentation.described(FOLDER / "presentation.json", "gsm8k-cot"),
    data_set=DATA_SET,
    load=load,
    unparsed=0.0,  # as upstream: no answer is a wrong one
    sizes=QuestionSizes(1319, prompt=250, max_tokens=benchmark.MAX_TOKENS),
)
