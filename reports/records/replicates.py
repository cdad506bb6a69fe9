"""Which runs of a method there are, in words: those of a base model, and of base models.

seeds 0, 1, 2                       3 seeds of the last stage, base models not replicated
worlds 0, 1 x seeds 0, 1, 2         2 base models x 3 seeds of the last stage
world 0: seeds 0, 1; world 1: seed 0

A world is what one of a suite's `world_seeds` made: both base models, and all that they write and say.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from reports.statistics.bootstrap import Replicate


def listed(replicates: Iterable[Replicate]) -> str:
    """The seeds of some replicates, by world where there are several."""
    worlds = by_world(replicates)
    if len(worlds) < 2:
        return "".join(_seeds(seeds) for seeds in worlds.values())
    if len(set(worlds.values())) == 1:
        return f"{_numbered('world', tuple(worlds))} x {_seeds(next(iter(worlds.values())))}"
    return "; ".join(f"world {world}: {_seeds(seeds)}" for world, seeds in worlds.items())


def fewer(own: Iterable[Replicate], others: Iterable[Replicate]) -> str:
    """Which of a table's replicates a row has."""
    had, all_had = by_world(own), by_world(others)
    if len(all_had) > 1:
        told = "; ".join(f"world {world}: {_seeds(seeds)}" for world, seeds in had.items())
        return f"{told} of {listed(others)}"
    mine, every = (", ".join(map(str, seeds)) for known in (had, all_had) for seeds in known.values())
    return f"seed {mine} of {every}"


def among(one: Replicate, others: Iterable[Replicate]) -> list[str]:
    """What tells one replicate from the others: ["world 1", "seed 0"], its world where there are several."""
    known = set(others)
    worlds, seeds = {other.world for other in known}, {other.seed for other in known}
    return [f"world {one.world}"] * (len(worlds) > 1) + [f"seed {one.seed}"] * (len(seeds) > 1)


def replicated(rows: Collection[Iterable[Replicate]]) -> str:
    """Which levels of chance the replicates of rows cover: last stages, base models, or both.

    Base models that no row has several of, as in merged runs, replicate nothing.
    """
    worlds = max(map(by_world, rows), key=lambda own: (len(own), *map(len, own.values())))
    if len(worlds) > 1:
        worlds = by_world(replicate for own in rows for replicate in own)
    seeds = sorted({len(own) for own in worlds.values()})
    most = "1 seed" if seeds[-1] == 1 else f"{seeds[-1]} seeds"
    if len(worlds) == 1:
        return f"{most} of the last stage, base models not replicated"
    if len(seeds) > 1:
        return f"{len(worlds)} base models, {seeds[0]} to {most} of the last stage each"
    return f"{len(worlds)} base models x {most} of the last stage"


def by_world(replicates: Iterable[Replicate]) -> dict[int, tuple[int, ...]]:
    """World -> its seeds, both in order."""
    seeds: dict[int, set[int]] = defaultdict(set)
    for replicate in replicates:
        seeds[replicate.world].add(replicate.seed)
    return {world: tuple(sorted(own)) for world, own in sorted(seeds.items())}


def _seeds(seeds: tuple[int, ...]) -> str:
    return _numbered("seed", seeds)


def _numbered(noun: str, numbers: tuple[int, ...]) -> str:
    return f"{noun}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
