"""A whole plan's estimate: every step's cost, its seconds on one device, and the plan on several of them."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from harness.common.cost import Cost, Unknown
from harness.common.suggest import nearest
from harness.executors.protocol import Foretold
from harness.forecast.sizes import PlanSizes, table
from harness.forecast.threads import threads
from harness.plan.plan import Plan, ordered
from harness.plan.row_steps import passes
from harness.signals.rollouts import ROLLOUTS
from harness.store.step import Step

ON_DEVICE = ("train", "forward", "decode")
ROOM = 0.95  # of a device's memory; assumed: the rest is CUDA's own, and what lies between allocations


class Job(NamedTuple):
    """A step: how long it takes, what it waits for, and how many devices it takes."""

    id: str
    seconds: float
    needs: tuple[str, ...]
    devices: int


class Schedule(NamedTuple):
    """Seconds until all is done, the share of the devices' time that is used (0-1), the longest chain of
    steps that wait for one another, first to last, and its seconds.
    """

    makespan: float
    used: float
    chain: tuple[str, ...]
    chain_seconds: float


def schedule(jobs: Sequence[Job], devices: int) -> Schedule:
    """Run jobs, which stand behind those they need, on so many devices. devices >= 1

    List scheduling, the longest chain first: at most twice as long as the best schedule (Graham, 1969), where
    each takes one device. What wants more than there are takes all; while it waits for several, none is given
    to what has a shorter chain.
    """
    rest = rests(jobs)
    by_id = {job.id: job for job in jobs}
    order = TopologicalSorter({job.id: [n for n in job.needs if n in by_id] for job in jobs})
    order.prepare()
    ready: list[tuple[float, str]] = []
    running: list[tuple[float, str]] = []
    now, free, busy = 0.0, devices, 0.0
    while order.is_active():
        for name in order.get_ready():
            heapq.heappush(ready, (-rest[name], name))
        held: list[tuple[float, str]] = []  # what wants devices must not keep what wants none from starting
        while ready:
            entry = heapq.heappop(ready)
            job = by_id[entry[1]]
            wanted = min(job.devices, devices)
            if wanted and (held or wanted > free):
                held.append(entry)
                continue
            free -= wanted
            busy += job.seconds * wanted
            heapq.heappush(running, (now + job.seconds, job.id))
        ready = held  # sorted, so a heap
        now, name = heapq.heappop(running)
        free += min(by_id[name].devices, devices)
        order.done(name)
    used = busy / (now * devices) if now else 0.0
    return Schedule(now, used, _chain(jobs, rest), max(rest.values(), default=0.0))


def rests(jobs: Sequence[Job]) -> dict[str, float]:
    """Of each job the seconds of the longest chain that begins with it."""
    longest: dict[str, float] = {}
    # Backwards, a job is met after all that need it, so one pass is enough.
    for job in reversed(jobs):
        found = longest.get(job.id, 0.0) + job.seconds
        longest[job.id] = found
        for need in job.needs:
            longest[need] = max(longest.get(need, 0.0), found)
    return {job.id: longest[job.id] for job in jobs}


def _chain(jobs: Sequence[Job], rest: Mapping[str, float]) -> tuple[str, ...]:
    """The longest chain of jobs that wait for one another."""
    chain: list[str] = []
    begins = [job.id for job in jobs]
    while begins:
        chain.append(max(begins, key=lambda i: rest[i]))
        begins = [job.id for job in jobs if chain[-1] in job.needs]
    return tuple(chain)


class Sharing(NamedTuple):
    """Rows made alone, one after the other with nothing shared, against the plan. A pass is one teacher over
    one set of sequences; steps and FLOPs are those that lead to a row's checkpoint, without its measuring.
    """

    passes_needed: int
    passes_run: int
    responses_needed: int
    responses_run: int
    steps_alone: int
    steps_run: int
    flops_alone: float
    flops_run: float


CALL = 5.0  # seconds of a judge's reply, assumed
AT_ONCE = 16  # calls under way, as harness.suite.benchmarks.Judge has it


@dataclass(frozen=True)
class Device:
    """One device; devices.yaml says what each number is."""

    name: str
    float32: float
    bfloat16: float
    memory: float
    bandwidth: float
    train: float
    forward: float
    layer: float
    load: float
    start: float
    text: float
    several: float = 1.0
    note: str = ""

    def seconds(self, cost: Cost) -> float:
        """Seconds of a step: what it loads, what it computes at the assumed share of the peak, and the passes
        that wait for one another, which read the weights or start a layer's kernels, whichever is slower.
        """
        if cost.work == "judge":
            # Calls are paced by the endpoint, whatever the device is.
            return cost.calls * CALL / AT_ONCE
        if cost.work == "files":
            return cost.tokens / self.text + (cost.loads + cost.disk) / self.load
        peak = self.bfloat16 if cost.precision == "bfloat16" else self.float32
        share = self.train if cost.work == "train" else self.forward
        waiting = cost.sequential * max(cost.reads / self.bandwidth, cost.layers * self.layer)
        # Added up rather than overlapped: what is read or written beside the computing is little, and an
        # estimate that is a few percent high does no harm.
        moved = (cost.loads + cost.disk) / self.load
        several = cost.devices * (self.several if cost.devices > 1 else 1)
        return self.start + moved + cost.flops * cost.computed / (peak * share * several) + waiting


def device_named(name: str) -> Device:
    """A device of the table; ValueError with the nearest name."""
    known = table("devices")
    if name not in known:
        raise ValueError(f"--device {name}: {nearest(name, list(known))}")
    rates: dict[str, Any] = {key: float(value) for key, value in known[name].items()}
    return Device(name, **rates)


@dataclass(frozen=True)
class Forecast:
    """A plan's costs by step id, on devices of one sort; `todo` are the steps that are not done."""

    plan: Plan
    sizes: PlanSizes
    costs: Mapping[str, Cost]
    device: Device
    todo: frozenset[str]

    def seconds(self, step: Step) -> float:
        """Seconds of a step on the device; those of a judge's calls take none."""
        return self.device.seconds(self.costs[step.id])

    def estimate(self, step: Step) -> float | None:
        """Seconds of a step on the device; None where nobody can say."""
        return None if self.costs[step.id].unknown else self.seconds(step)

    def on(self, devices: int) -> Schedule:
        """What is to do, scheduled on so many devices."""
        return schedule(self._jobs, devices)

    def foretold(self, *, timed: bool) -> Foretold:
        """What whoever runs the steps wants to know; their seconds where they are `timed`."""
        memory = {i: None if cost.unknown else cost.memory for i, cost in self.costs.items()}
        return Foretold(
            seconds=self.estimate if timed else None,
            memory=lambda step: memory[step.id],
            threads=partial(threads, sizes=self.sizes),
            rests=rests(self._jobs),
            expected=self.estimate,
        )

    def _devices(self, step: Step) -> int:
        """Devices that a step takes; on CPUs one a thread."""
        cost = self.costs[step.id]
        if cost.work not in ON_DEVICE:
            return 0
        return max(cost.devices, threads(step, self.sizes)) if self.device.name == "cpu" else cost.devices

    @cached_property
    def _jobs(self) -> list[Job]:
        return [
            Job(
                step.id,
                self.seconds(step),
                tuple({s.id for s in step.sources.values() if s.id in self.todo}),
                self._devices(step),
            )
            for step in self.plan.steps
            if step.id in self.todo
        ]

    @cached_property
    def sharing(self) -> Sharing:
        """What is saved against rows made alone: sums over the rows that were trained here."""
        alone: list[Step] = []
        teachers: set[str] = set()
        for cell in self.plan.cells:
            if cell.lineage and isinstance(cell.source, Step):
                alone += ordered([cell.source])
                teachers |= cell.lineage.teachers
        together = list({step.id: step for step in alone}.values())

        def responses(steps: list[Step]) -> int:
            return sum(s.kind == ROLLOUTS and s.sources["model"].id in teachers for s in steps)

        return Sharing(
            *passes(self.plan.cells),
            responses(alone),
            responses(together),
            len(alone),
            len(together),
            sum(self.costs[s.id].flops for s in alone),
            sum(self.costs[s.id].flops for s in together),
        )

    @property
    def too_large(self) -> list[Step]:
        """Steps to do that do not fit into the device's memory, the largest first."""
        needs = {s.id: self.costs[s.id].memory for s in self.plan.steps if s.id in self.todo}
        found = [s for s in self.plan.steps if needs.get(s.id, 0) > ROOM * self.device.memory]
        return sorted(found, key=lambda s: -needs[s.id])


def cost_of(step: Step, sizes: PlanSizes) -> Cost:
    """The estimate of a step, from what its inputs are known or assumed to be; never from its own record."""
    try:
        cost = step.kind.cost(step, sizes)
    except Unknown as why:
        return Cost(unknown=str(why))
    return replace(cost, assumed=tuple(dict.fromkeys(cost.assumed)))


def forecast(plan: Plan, sizes: PlanSizes, device: Device) -> Forecast:
    """The estimate of a plan, whatever of it is done."""
    costs = {step.id: cost_of(step, sizes) for step in plan.steps}
    # Of all steps, so that what is done can be held against its record (--check).
    store = sizes.store
    todo = frozenset(s.id for s in plan.steps if not store or not store.is_done(s))
    return Forecast(plan, sizes, costs, device, todo)
