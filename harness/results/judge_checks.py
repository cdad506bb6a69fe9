"""What the store knows of how good a suite's judges are."""

import json
from pathlib import Path
from typing import Any

from harness.common import hub
from harness.evaluate.judge_check import JUDGE_CHECK
from harness.plan import judges
from harness.plan.context import PlanContext
from harness.store.store import Store
from harness.suite.schema import Suite
from reports.records.rows import JudgeCheck
from reports.statistics.shares import exact


def judge_checks(suite: Suite, setting: PlanContext, store: Store) -> list[JudgeCheck]:
    """What the store knows of the suite's judges, the latest word of each prompt being that on most pairs."""
    rows = []
    for name in suite.judges:
        # A judge that nobody asked need not be there.
        with hub.unresolved_allowed():
            parts = judges.judge_parts(setting, name).settings
        of_judge = [r for r in store.records(JUDGE_CHECK.name) if r["settings"]["judge"] == parts]
        for prompt in sorted({r["settings"]["prompt"] for r in of_judge}):
            # Limits and repeats differ from check to check; the one on most pairs says most.
            known = [_quality(store, r) for r in of_judge if r["settings"]["prompt"] == prompt]
            rows.append(_row(suite.name, name, prompt, max(known, key=lambda q: (q["n"], q["verdicts"]))))
    return rows


def _quality(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    (folder,) = (store.root / JUDGE_CHECK.name).glob(f"*-{record['id']}")
    if damage := store.damage(folder):
        raise ValueError(f"{folder}: {damage}; `bench judge check` makes it again")
    return dict(json.loads((Path(folder) / "quality.json").read_text()))


def _row(suite: str, judge: str, prompt: str, quality: dict[str, Any]) -> JudgeCheck:
    agreement, consistent = quality["agreement"] or {}, quality["consistent"] or {}
    # Not Wilson's, which is too narrow near 100 %, where good judges are.
    low, high = exact(agreement["value"], agreement["n"]) if agreement else (None, None)
    same = ("pairs", "n", "first_slot_rate", "repeat_noise", "flips", "kappa", "unparsed", "verdicts")
    return JudgeCheck(
        suite=suite,
        judge=judge,
        prompt=prompt,
        agreement=agreement.get("value"),
        low=low,
        high=high,
        consistent=consistent.get("value"),
        **{name: quality[name] for name in same},
    )
