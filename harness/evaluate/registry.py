"""What a suite may name: every benchmark, in the order of the tables' columns, and every kind of judge.

Those of benchmarks/registry.py ask questions; those here need a model's log-probs or the generated world.
Then come entry points of other packages ("bench.benchmarks", "bench.judges"), then the files of
`--benchmark-file` and `--judge-file`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import registry
from benchmarks.alpaca_eval import declaration as alpaca_eval
from benchmarks.api import JudgedBenchmark, Question
from benchmarks.declaration import Benchmark, Column, JudgedSettings, Presentation
from benchmarks.mt_bench import declaration as mt_bench
from harness.evaluate import held_out, judges, openllm, questions
from harness.suite.extension_file import defined_in
from harness.suite.judging import KIND, JudgeKind
from harness.suite.loading import Known
from harness.suite.measurement import Chosen, MeasuredBenchmark, Measures, Row

T = TypeVar("T")
INSTRUCTIONS = "alpaca_eval"  # the folder of the world's data whose questions are graded


def _load_rule(folder: Path, settings: JudgedSettings) -> tuple[list[Question], JudgedBenchmark]:
    """AlpacaEval's questions under MT-Bench's single-answer grading: the mean score on them."""
    # The rule grades by itself: no reference, no order of two answers.
    given = settings.model_dump(include={"max_tokens", "limit"})
    asked, compared = alpaca_eval.load(folder / INSTRUCTIONS, alpaca_eval.AlpacaEvalSettings(**given))
    _, graded = mt_bench.load(folder / "mt_bench", mt_bench.MTBenchSettings(**given))
    return asked, replace(graded, name="rule", sampling=compared.sampling)


def _rule_steps(row: Row, chosen: Chosen) -> Measures:
    """The answers are those that AlpacaEval asks for: a suite with both generates them once."""
    own = chosen.settings
    asked = alpaca_eval.AlpacaEvalSettings(
        data=f"{own.data}/{INSTRUCTIONS}", max_tokens=own.max_tokens, limit=own.limit
    )
    return row.judged(chosen, Chosen(alpaca_eval.ONE.name, questions.measured(alpaca_eval.ONE), asked))


RULE = replace(
    questions.measured(
        Benchmark(
            name="rule",
            settings=JudgedSettings,
            metric="score",
            presentation=Presentation(
                "Rule", (Column("score", "Rule score", "score"),), summary_unit="score"
            ),
            load=_load_rule,
            any_model=False,
            tuning_data="world/validation",
        )
    ),
    steps=_rule_steps,
)
BUILT_IN: tuple[MeasuredBenchmark, ...] = (
    *map(questions.measured, registry.BUILT_IN),
    openllm.ONE,
    openllm.TWO,
    RULE,
    held_out.IMPLICIT_REWARD,
    held_out.TEACHER_REWARD,
    held_out.REWARD,
    held_out.OBJECTIVE,
)


@cache
def known(benchmark_file: str | None = None, judge_file: str | None = None) -> Known:
    """All that a suite may name; ValueError where a name stands for two."""
    # Ours first, so that a plugin's columns stand behind and a name taken twice is the plugin's fault.
    benchmarks = [*BUILT_IN, *_of_packages(), *_of_file(benchmark_file)]
    own = defined_in(judge_file, (JudgeKind, JudgeKind), "JudgeKind (JUDGE = JudgeKind(...))")
    packaged = [point.load() for point in entry_points(group="bench.judges")]
    kinds = [*judges.BUILT_IN, *packaged, *(replace(kind, file=judge_file or "") for kind in own)]
    return Known(
        _by_name("benchmark", [(b.declaration.name, b) for b in benchmarks]),
        _by_name("judge", [(kind.name, kind) for kind in kinds]),
    )


def _by_name(what: str, found: Sequence[tuple[str, T]]) -> dict[str, T]:
    names = [name for name, _ in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} registered twice: {', '.join(twice)}")
    return dict(found)


def judge_of(settings: Mapping[str, Any], context: Mapping[str, Any]) -> JudgeKind:
    """The kind of judge of a step, of the tree or of the file in its context."""
    return known(judge_file=context.get("judge_file")).judges[settings[KIND]]


def declared(name: str, file: str | None) -> Benchmark:
    """The declaration that a step names, of the tree or of the file in its context."""
    return known(file).benchmarks[name].declaration


def _of_packages() -> Iterator[MeasuredBenchmark]:
    for point in entry_points(group="bench.benchmarks"):
        found = point.load()
        # A package may measure in steps of its own, or declare questions like the benchmarks of this tree.
        yield found if isinstance(found, MeasuredBenchmark) else questions.measured(found)


def _of_file(path: str | None) -> Iterator[MeasuredBenchmark]:
    """The `Benchmark`s of a file, and what it measures by steps of its own."""
    wanted = "Benchmark (BENCHMARK = Benchmark(...))"
    kinds: tuple[type[Benchmark], type[MeasuredBenchmark]] = (Benchmark, MeasuredBenchmark)
    for found in defined_in(path, kinds, wanted):
        if isinstance(found, Benchmark):
            yield questions.measured(found, path or "")
        else:
            yield replace(found, file=path or "")
