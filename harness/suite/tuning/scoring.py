"""The suite as its trials are measured: by what `tuning.score` names alone, on validation questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.declaration import ComparedSettings, JudgedSettings
from harness.common.suggest import nearest
from harness.common.text import cut
from harness.suite.benchmarks import Benchmarks
from harness.suite.judging import KIND, ChosenJudge, judges_of
from harness.suite.loading import Known
from harness.suite.measurement import Chosen
from harness.suite.parts.data import Data, Dataset
from harness.suite.schema import Suite
from harness.suite.tuning.section import Score, Tuning
from harness.suite.validation import validated

WHERE = "tuning.score"


def scored(suite: Suite, known: Known, tuned: Sequence[str]) -> Suite:
    """The suite with the one benchmark of its score, which a judge reads once; `tuned` are its methods."""
    score = suite.tuning.score or _of_a_world(suite)
    chosen = _chosen(suite, score, known)
    compared = chosen.settings.reference if isinstance(chosen.settings, ComparedSettings) else ()
    for name in compared:
        if name in tuned:
            raise ValueError(
                f"{WHERE}: {chosen.name} compares with {name}, which is tuned itself; "
                "settings: {reference: Student}, or another row"
            )
    return suite.model_copy(
        update={
            "benchmarks": Benchmarks({chosen.name: chosen}),
            "judges": _judges(suite, chosen.settings, known),
            "datasets": {name: _held_out(suite, name, score, chosen) for name in suite.datasets},
            "models": {name: model for name, model in suite.models.items() if name in compared},
            # Whoever plans a trial need not look through all of them again.
            "tuning": Tuning(),
        }
    )


def _of_a_world(suite: Suite) -> Score:
    for name, chosen in suite.benchmarks.chosen.items():
        if chosen.declaration.tuning_data and suite.world:
            return Score(benchmark=name)
    example = "{benchmark: implicit-reward, hold_out: 200}"
    raise ValueError(f"{WHERE}: missing; what trials are compared by, such as {example}")


def _chosen(suite: Suite, score: Score, known: Known) -> Chosen:
    """The benchmark of a score with its settings."""
    name, own = score.benchmark, suite.benchmarks.chosen.get(score.benchmark)
    if own is None and name not in known.benchmarks:
        names = list(dict.fromkeys([*suite.benchmarks.chosen, *known.benchmarks]))
        raise ValueError(f"{WHERE}.benchmark: no benchmark {cut(repr(name))}; {nearest(name, names)}")
    benchmark = own.benchmark if own else known.benchmarks[name]
    declared = benchmark.declaration
    if not declared.metric:
        raise ValueError(
            f"{WHERE}.benchmark: {name} has no score: a method's loss changes its scale with its settings; "
            "implicit-reward needs held-out pairs alone"
        )
    given = {**(dict(own.settings) if own else {}), **score.settings}
    if asks := _asks(declared.settings):
        if score.hold_out:
            raise ValueError(f"{WHERE}.hold_out: {name} asks questions of its own; give `data`")
        data = score.data or (declared.tuning_data if suite.world else "")
        given |= {"data": data} if data else {}
    settings = validated(declared.settings, given, "", f"{WHERE}.settings")
    if not asks and not (score.data or score.hold_out):
        for dataset, data_spec in suite.datasets.items():
            if data_spec.validation is None:
                raise ValueError(
                    f"{WHERE}: {name} reads held-out pairs, and datasets.{dataset} has no `validation`; "
                    "give data: FILE, or hold_out: 200"
                )
    return Chosen(name, benchmark, settings)


def _asks(settings: Any) -> bool:
    """Whether a benchmark has data of its own; the rest read held-out pairs."""
    return "data" in settings.model_fields


def _judges(suite: Suite, settings: Any, known: Known) -> Mapping[str, ChosenJudge]:
    """The judge of a score. A trial is its first verdicts: how far a judge scatters is asked of the run."""
    if not isinstance(settings, JudgedSettings):
        return {}
    name, world = settings.judge, suite.world is not None
    alone = {n: {KIND: n} for n, kind in known.judges.items() if kind.named_alone(world)}
    if name in suite.judges:
        return {name: suite.judges[name].asked_once()}
    if name not in alone:
        names = list(dict.fromkeys([*suite.judges, *alone]))
        raise ValueError(f"{WHERE}.settings.judge: no judge {cut(repr(name))}; {nearest(name, names)}")
    return judges_of({name: alone[name]}, known.judges, WHERE)


def _held_out(suite: Suite, name: str, score: Score, chosen: Chosen) -> Dataset:
    """A data set whose held-out pairs are those that trials are scored on."""
    data = suite.datasets[name]
    if _asks(type(chosen.settings)):
        return data
    if score.data:
        return data.model_copy(update={"validation": Data(path=score.data)})
    if not (n := score.hold_out):
        return data
    pairs = data.preference
    if pairs.limit is not None and pairs.limit <= n:
        raise ValueError(f"{WHERE}.hold_out: given {n}; datasets.{name}.preference.limit is {pairs.limit}")
    rest = {"skip": pairs.skip + n, "limit": None if pairs.limit is None else pairs.limit - n}
    held = {"validation": pairs.model_copy(update={"limit": n}), "preference": pairs.model_copy(update=rest)}
    return data.model_copy(update=held)
