"""What a plan saves by making each step once: the teacher's passes, and steps against rows made alone."""

from collections.abc import Mapping
from typing import NamedTuple

from harness.forecast.cost import Cost
from harness.plan.plan import Plan, ordered
from harness.plan.row_steps import passes
from harness.store.step import Step


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


def sharing(plan: Plan, costs: Mapping[str, Cost]) -> Sharing:
    """Sums over the rows that were trained here."""
    alone: list[Step] = []
    teachers: set[str] = set()
    for cell in plan.cells:
        if cell.lineage and isinstance(cell.source, Step):
            alone += ordered([cell.source])
            teachers |= {cell.lineage.teacher.id, cell.lineage.teacher_ref.id}
    together = list({step.id: step for step in alone}.values())

    def responses(steps: list[Step]) -> int:
        return sum(s.kind == "rollouts" and s.sources["model"].id in teachers for s in steps)

    return Sharing(
        *passes(plan.cells),
        responses(alone),
        responses(together),
        len(alone),
        len(together),
        sum(costs[s.id].flops for s in alone),
        sum(costs[s.id].flops for s in together),
    )
