"""What each row's own stages cost, from the records of its artifacts."""

from typing import Any

from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.plan.row_steps import own_stages, teacher_passes
from harness.results.records import folder_of, row_key
from harness.store.step import Step
from harness.store.store import Store
from reports.records.rows import Cost


def costs(plan: Plan, store: Store) -> list[Cost]:
    """What each row's own stages cost, shared steps counted in full: the price of that row run alone. Where
    its pair's data failed, a row that was trained without them has none: how many were dropped is not known.
    """
    made = {step.id for step in plan.steps}
    rows = (cell for cell in plan.cells if cell.lineage and cell.lineage.train_pairs.id in made)
    return [_cost(cell, store) for cell in rows]


def _cost(cell: Cell, store: Store) -> Cost:
    lineage = cell.trained
    own, passes = own_stages(cell), teacher_passes(cell)
    # What a teacher computes beside its passes over data, such as rollouts, is its own cost as well.
    by_teacher = [s for s in own if "model" in s.sources and s.sources["model"].id in lineage.teachers]
    of_teacher = [*passes.values(), *(s for s in by_teacher if s.kind.name != "signals")]
    trained = [s for s in own if s.kind.name == "train"]
    known = {s.id: store.record(folder_of(store, s)) for s in own}
    pairs = store.record(folder_of(store, lineage.train_pairs))["measured"]
    dialogues = [known[s.id]["measured"] for s in own if s.kind.name == "dialogues"]
    sampled = [known[s.id]["measured"] for s in own if s.kind.name == "rollouts"]
    grouped = [known[s.id]["measured"] for s in own if s.kind.name in ("group", "mismatched")]
    online = [known[s.id]["measured"] for s in trained]
    tokens = sum(r["tokens"] for r in online)
    # A rollout that was cut at its limit may be dropped for it too; it is counted among the dropped alone.
    cut_and_dropped = sum(r["dropped"] for r in sampled)
    dropped = cut_and_dropped + sum(r["dropped"] for r in grouped) + sum(r["identical"] for r in online)
    return Cost(
        **row_key(cell),
        train_seconds=round(sum(known[s.id]["seconds"] for s in trained), 3),
        train_flops=_flops([s for s in own if s not in by_teacher], known),
        teacher_flops=_flops(of_teacher, known) + sum(r["teacher_flops"] for r in online),
        train_tokens=tokens,
        padding_share=sum(r["padding_share"] * r["tokens"] for r in online) / max(1, tokens),
        rows_dropped=sum(sum(r["dropped"].values()) for r in (pairs, *dialogues)) + dropped,
        # Of data only where the suite has rows cut that are too long.
        rows_truncated=sum(r["truncated"] for r in (*sampled, *online))
        - cut_and_dropped
        + sum(r.get("truncated", 0) for r in (pairs, *dialogues)),
        device=cell.setting.machine.device,
        passes=tuple(sorted(map("/".join, passes))),
        # A store may hold steps from before these were told.
        positions=sum(r.get("positions", 0) for r in online),
        padded_positions=sum(r.get("padded_positions", 0) for r in online),
        unshared=tuple(sorted({r["sharing"] for r in online if r.get("sharing", "shared") != "shared"})),
    )


def _flops(steps: list[Step], known: dict[str, dict[str, Any]]) -> float:
    return float(sum(known[s.id]["measured"].get("flops", 0) for s in steps))
