"""Run the measurements that are asked for, and write docs/performance.md from all that are there."""

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from tests.gpu import page as gpu_page
from tests.perf import jobs, page, world
from tests.perf.clock import gpu
from tests.perf.scales import SCALES
from tests.perf.workloads import VOCABS, WORKLOADS

ROOT = Path("runs/perf")  # and below it a folder of each other scale
PAGE = Path("docs/performance.md")
SECTIONS = ("head", "train", "generate", "jobs")
Asked = dict[str, Any]


def of_head() -> list[Asked]:
    return [{"what": "head", "side": side} for side in ("limit", "plain", "trl", "keep", "recompute")]


def of_training(on: str, names: list[str]) -> list[list[Asked]]:
    """The measurements of each workload, which run back to back; the limit is a CPU's."""
    limit = [{"what": "limit", "side": "limit"}] if on == "cpu" else []
    trained = {"what": "train", "scale": on}
    return [
        [asked | {"name": name} for asked in limit]
        + [trained | {"side": side, "name": name} for side in (*_theirs(name), *SCALES[on].ours)]
        for name in names
    ]


def _theirs(name: str) -> tuple[str, ...]:
    """TRL's sides of a workload, where it is installed."""
    return WORKLOADS[name].variants if find_spec("trl") else ()


def groups(section: str, on: str, names: list[str]) -> list[list[Asked]]:
    if section == "head":
        return [of_head()]
    if section == "generate":
        return [[{"what": "generate", "side": side} for side in ("transformers", "ours")]]
    return of_training(on, names)


def planned(
    section: str, on: str, vocabs: list[int], names: list[str], repeats: int, seed: int
) -> Iterator[Asked]:
    """All repeats of a group before the next group, each in an order of its own."""
    draw = random.Random(seed)
    for vocab in vocabs:
        for group in groups(section, on, names):
            for repeat in range(repeats):
                for asked in draw.sample(group, len(group)):
                    yield asked | {"vocab": vocab, "repeat": repeat}
            for asked in group if section == "train" else ():
                if asked["side"] == "auto" and on == "cpu":
                    yield asked | {"vocab": vocab, "repeat": repeats, "profiled": True}


def measure(root: Path, section: str, asked: Asked) -> bool:
    """Make one measurement, in a process of its own, and keep it; says whether there was one."""
    print(json.dumps(asked), flush=True)
    command = [sys.executable, "-m", "tests.perf.measure", json.dumps(asked | {"root": str(root)})]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        kept(root / f"{section}.json", asked, json.loads(done.stdout.splitlines()[-1]))
    return done.returncode == 0


def made(root: Path, on: str, vocab: int) -> bool:
    """Whether there is a world, made if need be; never a part of one."""
    at = world.folder(root, vocab)
    there = at.exists() or measure(root, "world", {"what": "world", "scale": on, "vocab": vocab})
    if not there:
        shutil.rmtree(at, ignore_errors=True)
    return there


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


def kept(path: Path, asked: Asked, said: dict[str, Any]) -> None:
    """Add a measurement to its section's file; an earlier one of the same is replaced."""
    found = json.loads(path.read_text()) if path.exists() else {"measured": []}
    others = [m for m in found["measured"] if {k: m.get(k) for k in asked} != asked]
    told = {"machine": machine(), "versions": said.pop("versions"), "measured": [*others, asked | said]}
    path.write_text(json.dumps(told, indent=1))


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    ask.add_argument("--scale", default="cpu", choices=list(SCALES), help="what is not cpu trains alone")
    ask.add_argument("--sections", default=",".join(SECTIONS), help="some of them")
    ask.add_argument("--only", nargs="*", choices=list(WORKLOADS), help="workloads; without: the scale's")
    ask.add_argument("--vocab", nargs="*", type=int, default=list(VOCABS))
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--seed", type=int, default=0, help="of the order of the measurements")
    given = ask.parse_args()
    sections = [s for s in given.sections.split(",") if s]
    on, root, failed = given.scale, ROOT, 0
    if unknown := set(sections) - set(SECTIONS):
        ask.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if on != "cpu":
        sections, root = ["train"], ROOT / on
    if SCALES[on].device == "cuda" and gpu() is None:
        ask.error(f"--scale {on}: torch finds no GPU here")
    root.mkdir(parents=True, exist_ok=True)
    for section in sections:
        if section == "jobs":
            jobs.run(root, machine())
            continue
        vocabs = given.vocab if section != "generate" else given.vocab[:1]
        if section != "head" and not all(made(root, on, vocab) for vocab in vocabs):
            return 1
        names = given.only or list(SCALES[on].workloads)
        for asked in planned(section, on, vocabs, names, given.repeats, given.seed):
            failed += not measure(root, section, asked)
    PAGE.write_text(page.text(ROOT, gpu_page.kept(PAGE.read_text())))
    print(f"Written: {PAGE}" + (f"; {failed} measurements failed" if failed else ""))
    return 1 if failed or not page.losses_agree(ROOT) else 0


if __name__ == "__main__":
    sys.exit(main())
