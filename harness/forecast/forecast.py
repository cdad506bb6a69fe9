"""A whole plan's estimate: every step's cost, its seconds on one device, and the plan on several of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.forecast.cost import Cost, Sizes
from harness.forecast.devices import Device
from harness.forecast.schedule import Job, Schedule, schedule
from harness.forecast.sharing import Sharing, sharing
from harness.forecast.step_costs import cost_of
from harness.plan.plan import Plan
from harness.store.step import Step

ON_DEVICE = ("train", "forward", "decode")


@dataclass(frozen=True)
class Forecast:
    """A plan's costs by step id, on devices of one sort; `todo` are the steps that are not done."""

    plan: Plan
    costs: Mapping[str, Cost]
    device: Device
    todo: frozenset[str]

    def seconds(self, step: Step) -> float:
        """Seconds of a step on the device; those of a judge's calls take none."""
        return self.device.seconds(self.costs[step.id])

    def estimate(self, step: Step) -> float | None:
        """Seconds of a step on the device; None where nobody can say."""
        return None if self.costs[step.id].unknown else self.seconds(step)

    def hours(self, steps: Sequence[Step]) -> float:
        """Device-hours of some steps."""
        return sum(self.seconds(s) for s in steps if self.costs[s.id].work in ON_DEVICE) / 3600

    def on(self, devices: int) -> Schedule:
        """What is to do, scheduled on so many devices."""
        jobs = [
            Job(
                step.id,
                self.seconds(step),
                tuple({s.id for s in step.sources.values() if s.id in self.todo}),
                self.costs[step.id].work in ON_DEVICE,
            )
            for step in self.plan.steps
            if step.id in self.todo
        ]
        return schedule(jobs, devices)

    @cached_property
    def sharing(self) -> Sharing:
        """What is saved against rows made alone."""
        return sharing(self.plan, self.costs)

    @property
    def too_large(self) -> list[Step]:
        """Steps to do that do not fit into the device's memory, the largest first."""
        found = [
            s for s in self.plan.steps if s.id in self.todo and self.costs[s.id].memory > self.device.memory
        ]
        return sorted(found, key=lambda s: -self.costs[s.id].memory)


def forecast(plan: Plan, sizes: Sizes, device: Device) -> Forecast:
    """The estimate of a plan, whatever of it is done."""
    costs = {step.id: cost_of(step, sizes) for step in plan.steps}
    store = sizes.store
    todo = frozenset(s.id for s in plan.steps if not store or store.find(s) is None)
    return Forecast(plan, costs, device, todo)
