"""Run the measurements that are asked for, and write docs/performance.md from all that are there."""

import argparse
import json
import platform
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.perf import comparison, page, world
from tests.perf.workloads import VOCABS, WORKLOADS

ROOT = Path("runs/perf")
PAGE = Path("docs/performance.md")
SECTIONS = ("head", "train", "generate", "comparison")
OURS = ("auto", "recompute")
Asked = dict[str, Any]


def of_head(vocab: int) -> list[Asked]:
    return [{"what": "head", "side": side} for side in ("limit", "plain", "trl", "keep", "recompute")]


def of_training(vocab: int, names: list[str]) -> list[list[Asked]]:
    """The measurements of each workload, which run back to back."""
    return [
        [{"what": "limit", "side": "limit", "name": name}]
        + [{"what": "train", "side": side, "name": name} for side in (*WORKLOADS[name].variants, *OURS)]
        for name in names
    ]


def groups(section: str, vocab: int, names: list[str]) -> list[list[Asked]]:
    if section == "head":
        return [of_head(vocab)]
    if section == "generate":
        return [[{"what": "generate", "side": side} for side in ("transformers", "ours")]]
    return of_training(vocab, names)


def planned(section: str, vocabs: list[int], names: list[str], repeats: int, seed: int) -> Iterator[Asked]:
    """All repeats of a group before the next group, each in an order of its own."""
    draw = random.Random(seed)
    for vocab in vocabs:
        for group in groups(section, vocab, names):
            for repeat in range(repeats):
                for asked in draw.sample(group, len(group)):
                    yield asked | {"vocab": vocab, "repeat": repeat}
            for asked in group if section == "train" else ():
                if asked["side"] == OURS[0]:
                    yield asked | {"vocab": vocab, "repeat": repeats, "profiled": True}


def run(asked: Asked) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "tests.perf.measure", json.dumps(asked | {"root": str(ROOT)})]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def machine() -> dict[str, Any]:
    """What this machine is; never its name."""
    cpu = next(
        (x.partition(": ")[2] for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x),
        "-",
    )
    return {
        "cpu": cpu.strip(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "load": psutil.getloadavg()[0],
    }


def kept(section: str, asked: Asked, said: dict[str, Any]) -> None:
    """Add a measurement to its section's file; an earlier one of the same is replaced."""
    path = ROOT / f"{section}.json"
    found = json.loads(path.read_text()) if path.exists() else {"measured": []}
    others = [m for m in found["measured"] if {k: m.get(k) for k in asked} != asked]
    told = {"machine": machine(), "versions": said.pop("versions"), "measured": [*others, asked | said]}
    path.write_text(json.dumps(told, indent=1))


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    ask.add_argument("--sections", default="head,train,generate", help=f"of {', '.join(SECTIONS)}")
    ask.add_argument("--comparison", action="store_true", help="the whole pocket comparison alone: hours")
    ask.add_argument("--only", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    ask.add_argument("--vocab", nargs="*", type=int, default=list(VOCABS))
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--seed", type=int, default=0, help="of the order of the measurements")
    given = ask.parse_args()
    sections = ["comparison"] if given.comparison else [s for s in given.sections.split(",") if s]
    if unknown := set(sections) - set(SECTIONS):
        ask.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    ROOT.mkdir(parents=True, exist_ok=True)
    for section in sections:
        if section == "comparison":
            comparison.run(ROOT, machine())
            continue
        vocabs = given.vocab if section != "generate" else given.vocab[:1]
        for vocab in vocabs if section != "head" else ():
            if not world.folder(ROOT, vocab).exists():
                kept("world", {"what": "world", "vocab": vocab}, run({"what": "world", "vocab": vocab}))
        for asked in planned(section, vocabs, given.only, given.repeats, given.seed):
            print(json.dumps(asked), flush=True)
            kept(section, asked, run(asked))
    PAGE.write_text(page.text(ROOT))
    print(f"Written: {PAGE}")
    return 0 if page.losses_agree(ROOT) else 1


if __name__ == "__main__":
    sys.exit(main())
