"""One measurement in a process of its own: what it says is the last line of stdout, as JSON.

python -m tests.perf.measure '{"what": "head", "side": "trl", "vocab": 32000, "root": "runs/perf"}'
"""

import json
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.common import devices
from tests.perf import world
from tests.perf.clock import gpu, peak
from tests.perf.scales import SCALES
from tests.perf.workloads import WORKLOADS

OURS = ("keep", "recompute", "auto", "compiled", "ours")  # sides that run as a step of a run does
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")


def _train(at: Path, asked: dict[str, Any]) -> dict[str, Any]:
    scale, name = SCALES[asked["scale"]], asked["name"]
    sides, vocab = WORKLOADS[name].sides, asked["vocab"]
    told = {"tokens": world.counts(at, scale, sides)["once"], "flops": world.flops(at, scale, sides, vocab)}
    if asked["side"].startswith("trl"):
        from tests.perf import theirs

        return told | theirs.run(at, scale, name, precomputed=asked["side"] == "trl precomputed")
    from tests.perf import ours

    return told | ours.run(at, scale, name, asked["side"], asked.get("profiled", False))


def measured(asked: dict[str, Any]) -> dict[str, Any]:
    """What the measurement says."""
    vocab = asked.get("vocab", 0)
    at = world.folder(Path(asked["root"]), vocab)
    match asked["what"]:
        case "world":
            return {"making": world.make(at, vocab, SCALES[asked["scale"]])}
        case "limit":
            from tests.perf import limit

            return dict(limit.of_step(at, asked["name"], vocab))
        case "head":
            from tests.perf import head

            return head.run(asked["side"], vocab)
        case "generate":
            from tests.perf import generation

            return generation.run(at, asked["side"])
        case "train":
            return _train(at, asked)
    raise ValueError(f"nothing is called {asked['what']!r} here")


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "-"
    return found


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    with devices.freed() if asked.get("side") in OURS else nullcontext():
        said = measured(asked)
    print(json.dumps({**said, "peak": peak(), "gpu": gpu(), "versions": versions()}))
