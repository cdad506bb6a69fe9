"""A method's own objective on held-out prompts, under the model its last stage started from and under its
result.

    objective.json {"before": {"dpo": 0.69}, "after": {"dpo": 0.61}, "watched": {"reward": [-0.2, 1.4]}}
"""

import json
from typing import Any

from harness.store.step import Work
from harness.train.loop import set_up


def run(work: Work) -> dict[str, Any]:
    """The step: the terms over all held-out examples, as of one optimizer step."""
    loop, _ = set_up(work, work.inputs["start"])
    every = range(len(loop.examples))
    before, seen_before = loop.measure(every)
    loop, _ = set_up(work, work.inputs["after"])
    after, seen_after = loop.measure(every)
    watched = {name: [seen_before[name], seen_after[name]] for name in seen_before}
    told = {"before": before, "after": after, "watched": watched}
    (work.out / "objective.json").write_text(json.dumps(told))
    return {"examples": len(every), "identical": loop.examples.identical}
