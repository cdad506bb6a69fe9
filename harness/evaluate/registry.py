"""What a suite may name: every benchmark, in the order of a row's records, and every kind of judge.

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
from harness.suite.benchmarks import described
from harness.suite.extension_file import defined_in
from harness.suite.judging import KIND, JudgeKind
from harness.suite.loading import Known
from harness.suite.measurement import Chosen, MeasuredBenchmark, Measures, Row
from harness.suite.outside.benchmark_file import guarded_benchmark, guarded_judge

T = TypeVar("T")
INSTRUCTIONS = "alpaca_eval"  # the folder of the world's data whose questions are graded


def _load_rule(folder: Path, settings: JudgedSettings) -> tuple[list[Question], JudgedBenchmark]:
    """AlpacaEval's questions under MT-Bench's single-answer grading: the mean score on them."""
    # The rule grades by itself: no reference, no order of two answers.
    shared = settings.model_dump(include={"max_tokens", "limit"})
    loaded, compared = alpaca_eval.load(folder / INSTRUCTIONS, alpaca_eval.AlpacaEvalSettings(**shared))
    _, graded = mt_bench.load(folder / "mt_bench", mt_bench.MTBenchSettings(**shared))
    return loaded, replace(graded, name="rule", sampling=compared.sampling)


def _rule_steps(row: Row, chosen: Chosen) -> Measures:
    """The answers are those that AlpacaEval asks for: a suite with both generates them once."""
    rule = chosen.settings
    alpaca = alpaca_eval.AlpacaEvalSettings(
        data=f"{rule.data}/{INSTRUCTIONS}", max_tokens=rule.max_tokens, limit=rule.limit
    )
    return row.judged(chosen, Chosen(alpaca_eval.ONE.name, questions.measured(alpaca_eval.ONE), alpaca))


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
ASKED = tuple(map(questions.measured, registry.BUILT_IN))
BUILT_IN: tuple[MeasuredBenchmark, ...] = (
    *(b for b in ASKED if b.declaration.judged),
    RULE,
    openllm.ONE,
    openllm.TWO,
    *(b for b in ASKED if not b.declaration.judged),
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
    from_file = defined_in(judge_file, (JudgeKind, JudgeKind), "JudgeKind (JUDGE = JudgeKind(...))")
    packaged = [point.load() for point in entry_points(group="bench.judges")]
    kinds = [*judges.BUILT_IN, *packaged, *(guarded_judge(kind, str(judge_file)) for kind in from_file)]
    return Known(
        _by_name("benchmark", [(b.declaration.name, b) for b in benchmarks]),
        _by_name("judge", [(kind.name, kind) for kind in kinds]),
    )


def _by_name(noun: str, entries: Sequence[tuple[str, T]]) -> dict[str, T]:
    names = [name for name, _ in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{noun} registered twice: {', '.join(twice)}")
    return dict(entries)


def judge_of(settings: Mapping[str, Any], context: Mapping[str, Any]) -> JudgeKind:
    """The kind of judge of a step, of the tree or of the file in its context."""
    return known(judge_file=context.get("judge_file")).judges[settings[KIND]]


def declared(name: str, file: str | None) -> Benchmark:
    """The declaration that a step names, of the tree or of the file in its context."""
    return known(file).benchmarks[name].declaration


def _of_packages() -> Iterator[MeasuredBenchmark]:
    for point in entry_points(group="bench.benchmarks"):
        # A package may measure in steps of its own, or declare questions like the benchmarks of this tree.
        yield _from_outside(point.load())


def _of_file(path: str | None) -> Iterator[MeasuredBenchmark]:
    """The `Benchmark`s of a file, and what it measures by steps of its own."""
    expected = "Benchmark (BENCHMARK = Benchmark(...))"
    kinds: tuple[type[Benchmark], type[MeasuredBenchmark]] = (Benchmark, MeasuredBenchmark)
    for defined in defined_in(path, kinds, expected):
        guarded = guarded_benchmark(defined, str(path)) if isinstance(defined, Benchmark) else defined
        try:
            yield replace(_from_outside(guarded), file=str(path))
        except ValueError as fault:
            raise ValueError(f"{path}: {fault}") from fault


def _from_outside(defined: Benchmark | MeasuredBenchmark) -> MeasuredBenchmark:
    """A benchmark with its steps; what reports could not show is a ValueError before anything runs."""
    declared = defined if isinstance(defined, Benchmark) else defined.declaration
    described(declared.name, declared)
    return questions.measured(defined) if isinstance(defined, Benchmark) else defined
