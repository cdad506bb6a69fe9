"""How long the rest of a plan takes: by its forecast, corrected by what was measured so far."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.executors.protocol import Estimate
from harness.store.step import Step
from harness.store.store import Store


@dataclass
class Taken:
    """What the finished steps of a kind took, and what was foretold of those of which anything was, in
    seconds.
    """

    steps: int = 0
    measured: float = 0.0
    foretold: float = 0.0
    measured_of_foretold: float = 0.0

    def add(self, measured: float, foretold: float | None) -> None:
        self.steps += 1
        self.measured += measured
        if foretold:
            self.foretold += foretold
            self.measured_of_foretold += measured


class Left(NamedTuple):
    """Seconds until all is done that can be foretold, and how many steps cannot."""

    seconds: float
    unknown: int


class TimeLeft:
    """Of each step what is foretold, times what those of its kind took over what was foretold of them."""

    def __init__(self, done: Collection[Step], store: Store, estimate: Estimate) -> None:
        self._estimate = estimate
        self._taken: dict[str, Taken] = defaultdict(Taken)  # by kind
        for step in done:
            if folder := store.find(step):
                self.ended(step, float(store.record(folder)["seconds"]))

    def ended(self, step: Step, seconds: float) -> None:
        """A step is done."""
        foretold = self._estimate(step)
        self._taken[step.kind.name].add(seconds, foretold)

    def seconds(self, step: Step) -> float | None:
        """Seconds of a whole step; None where nobody can say."""
        foretold, taken = self._estimate(step), self._taken.get(step.kind.name)
        if taken is None or not taken.steps:  # another thread may be about to add the first one
            return foretold
        if foretold and taken.foretold:
            return foretold * taken.measured_of_foretold / taken.foretold
        return taken.measured / taken.steps

    def left(self, todo: Sequence[Step], running: Mapping[str, float], lanes: int) -> Left:
        """Of steps in the plan's order, of which some run and take so many more seconds, over so many lanes
        and one of their own for those that ask an endpoint; not less than the longest chain takes.
        """
        chains: dict[str, float] = {}  # seconds until a step is done
        shares, unknown = {True: 0.0, False: 0.0}, 0
        for step in todo:
            seconds = running[step.id] if step.id in running else self.seconds(step)
            unknown += seconds is None
            shares["endpoint" in step.context] += seconds or 0.0
            before = (chains.get(source.id, 0.0) for source in step.sources.values())
            chains[step.id] = max(before, default=0.0) + (seconds or 0.0)
        longest = max(chains.values(), default=0.0)
        return Left(max(longest, shares[True], shares[False] / max(lanes, 1)), unknown)
