"""The trials of a method: combinations of the values that a suite lists, or points of a Halton sequence.

A longer search begins with the trials of a shorter one of the same seed, so that more of them cost the rest
alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice, product
from math import log, prod
from random import Random
from typing import TYPE_CHECKING, Any

from harness.common.suggest import nearest
from harness.common.text import cut
from harness.suite.loading import configured
from harness.suite.schema import Suite
from harness.suite.training import Placement, TrainingSpec
from harness.suite.tuning.section import Span, Tuning

if TYPE_CHECKING:  # it imports torch, which takes seconds; a cost estimate needs none
    from methods.api import Method

LR, TRAINING = "lr", "training"
PLACES = tuple(field.name for field in fields(Placement))  # keys of a training that are no part of an id
AROUND = 10.0  # of a method without values of its own: its learning rate over and times this
COMBINATIONS = 10_000  # of a method's values at most, and points that a random search draws
DEFAULT = 9  # learning rates of a method without values of its own, where FLOPs are the budget
Settings = Mapping[str, float]
Values = Mapping[str, tuple[float, ...] | Span]


def check_tuning(suite: Suite, registry: Mapping[str, "Method"]) -> None:
    """ValueError for a value to try that is none of its method's, before any trial."""
    for name, values in suite.tuning.methods.items():
        where = f"tuning.methods.{cut(name)}"
        if name not in registry:
            raise ValueError(f"{where}: no method {cut(repr(name))}; {nearest(name, list(registry))}")
        method = registry[name]
        keys = [LR, *(f.name for f in fields(method.hparams))]
        # Where a stage is trained changes nothing that a trial is scored by.
        training = [f"{TRAINING}.{key}" for key in TrainingSpec.model_fields if key not in PLACES]
        for setting in values:
            if setting not in (*keys, *training):
                known = nearest(setting, training if setting.startswith(TRAINING) else keys)
                raise ValueError(f"{where}.{cut(setting)}: unknown key; {known}")
        if {LR, f"{TRAINING}.{LR}"} <= values.keys():
            raise ValueError(f"{where}: {LR} and {TRAINING}.{LR} are one setting; give one of them")
        for settings in _to_check(suite.tuning, name, values):
            try:
                configured(with_settings(suite, name, settings), method)
            except ValueError as fault:
                raise ValueError(f"{where}, {dict(settings)}: {fault}") from None


def _to_check(tuning: Tuning, name: str, values: Values) -> Iterator[Settings]:
    """Settings that between them have every value and every end of a range."""
    listed = {key: one.ends if isinstance(one, Span) else one for key, one in values.items()}
    count = prod(map(len, listed.values()))
    if count > COMBINATIONS:
        raise ValueError(f"tuning.methods.{name}: {count:,} combinations; {COMBINATIONS:,} are the most")
    yield from _combinations(listed)


def with_settings(suite: Suite, method: str, settings: Mapping[str, Any]) -> Suite:
    """The suite with a method's settings replaced; `lr` and `training.epochs` are keys of its training."""
    own = dict(suite.methods.get(method) or {})
    for name, value in settings.items():
        outer, _, inner = (f"{TRAINING}.{LR}" if name == LR else name).partition(".")
        own[outer] = {**(own.get(outer) or {}), inner: value} if inner else value
    return suite.model_copy(update={"methods": {**suite.methods, method: own}})


def budget(suite: Suite, names: Sequence[str]) -> int | None:
    """How many trials each of these methods has; None where FLOPs say it."""
    tuning = suite.tuning
    if tuning.flops is not None:
        return None
    grids = {n: tuning.methods[n] for n in names if tuning.methods.get(n)}
    if tuning.trials is not None:
        return tuning.trials
    if tuning.search == "random" or not grids:
        raise ValueError("tuning.trials: missing; how many trials each method has (or `flops`)")
    sizes = {n: prod(len(v) for v in grid.values() if not isinstance(v, Span)) for n, grid in grids.items()}
    (first, size), *others = sizes.items()
    if other := next((n for n in others if n[1] != size), None):
        raise ValueError(
            f"tuning.methods: {first} has {size} combinations, {other[0]} {other[1]}; every method has "
            f"as many trials: give tuning.trials: {min(sizes.values())}, or --only those that have as many"
        )
    return size


def values_of(suite: Suite, method: "Method", count: int | None) -> Values:
    """What is tried of a method: as the suite says, else `count` learning rates around the suite's own."""
    if own := suite.tuning.methods.get(method.name):
        return own
    rate = configured(suite, method)[1].lr
    if suite.tuning.search == "random":
        return {LR: Span(log=(rate / AROUND, rate * AROUND))}
    n = count or DEFAULT
    exponents = [2 * i / (n - 1) - 1 for i in range(n)] if n > 1 else [0.0]
    return {LR: tuple(dict.fromkeys(_short(rate * AROUND**e) for e in exponents))}


def first(tuning: Tuning, method: str, values: Values, count: int) -> list[Settings]:
    """The first trials of a method; a grid's in the order of its combinations."""
    found = list(islice(drawn(tuning, method, values), count))
    if len(found) < count:
        raise ValueError(
            f"tuning.methods.{method}: {len(found)} combinations, and {count} trials of every method asked; "
            "more values, or fewer trials"
        )
    return found if tuning.search == "random" else in_order(values, found)


def in_order(values: Values, found: Sequence[Settings]) -> list[Settings]:
    """Trials of a grid in the order of its combinations."""
    wanted = {tuple(settings.values()) for settings in found}
    return [settings for settings in _combinations(values) if tuple(settings.values()) in wanted]


def drawn(tuning: Tuning, method: str, values: Values) -> Iterator[Settings]:
    """All trials of a method, none twice, in the order in which a budget takes them."""
    if tuning.search == "random":
        yield from _halton(tuning.seed, values)
        return
    whole = list(_combinations(values))
    # Not in their order: the first few would be of one corner.
    yield from Random(f"{tuning.seed} {method}").sample(whole, len(whole))


def _combinations(values: Mapping[str, Any]) -> Iterator[Settings]:
    for combination in product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def _halton(seed: int, values: Values) -> Iterator[Settings]:
    """Scrambled Halton points: they fill a space more evenly than independent draws, for any number of them.

    Every method with as many settings has the same points of the unit cube.
    """
    from scipy.stats import qmc  # it takes a second to import

    seen = set[tuple[float, ...]]()
    for point in qmc.Halton(len(values), rng=seed).random(COMBINATIONS).tolist():
        chosen = tuple(_at(one, u) for one, u in zip(values.values(), point, strict=True))
        if chosen not in seen:
            seen.add(chosen)
            yield dict(zip(values, chosen, strict=True))


def _at(values: tuple[float, ...] | Span, u: float) -> float:
    """The value at a place 0 <= u < 1: of a range with three digits, as people write them."""
    if not isinstance(values, Span):
        return values[int(u * len(values))]
    low, high = values.ends
    value = low * (high / low) ** u if values.log else low + (high - low) * u
    return min(max(_short(value), low), high)


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def ends(values: Values, tried: Sequence[Settings], settings: Settings) -> dict[str, str]:
    """The settings that lie at an end of what was tried, with "least" or "greatest": of listed values the end
    of those that a trial had, of a range the tenth at either side.
    """
    found = {}
    for name, value in settings.items():
        one, own = values[name], [trial[name] for trial in tried]
        low, high = one.ends if isinstance(one, Span) else (min(own), max(own))
        if low == high:
            continue
        is_log = isinstance(one, Span) and one.log
        place = log(value / low) / log(high / low) if is_log else (value - low) / (high - low)
        margin = 0.1 if isinstance(one, Span) else 0.0
        if not margin < place < 1 - margin:
            found[name] = "least" if place < 0.5 else "greatest"
    return found
