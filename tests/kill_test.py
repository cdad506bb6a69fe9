"""Runs a small suite under random SIGKILLs, and looks whether anything was lost: `make kill-test`.

    python -m tests.kill_test --inline 35 --jobs 15 --ray 15 --seed 0
    kill  7 inline  train-592193874bef  pretrain student  after 0.31 s
    ...
    survived 65 / lost 0

A run is killed inside a step of a kind that was not killed yet, else inside a random one; the same command
goes on until it is through. Then the rows are those of a run that nobody disturbed, byte for byte. After each
kill: no process is left over, every artifact in sight is whole by its checksums, and none was made again. Of
jobs and on Ray, workers and the process that drives them are killed by turns.

Runs are forks of this process, which has the libraries loaded: 65 starts would take longer than all kills.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests import suites
from tests.paths import TINY
from tests.reliability import records

BENCHMARKS = "benchmarks={rule: {data: world/test, max_tokens: 8}, implicit-reward: {}}"
METHOD = "ADPA"
ROWS = ("results.jsonl", "training.jsonl", "summaries.jsonl", "texts.jsonl")
SECONDS_TO_END = 30.0  # of the processes that a killed one had started
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # they look for their dead cluster before they end
SECONDS_OF_AGENTS = 120.0
SECONDS_A_RUN = 600.0
CHOSEN = 0.1  # of the steps of a kind that was killed before are killed inside
AT_ONCE = 3  # jobs
OFTEN = 2  # kills of workers in one run: a step is tried three times


@dataclass
class Tally:
    """What was killed, and what went wrong."""

    seed: int
    kinds: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    agents: list[psutil.Process] = field(default_factory=list)  # of clusters whose driver was killed

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def note(self, executor: str, what: "Known", seconds: float) -> None:
        self.kills += 1
        self.kinds[what.kind] = self.kinds.get(what.kind, 0) + 1
        step = f"{what.kind}-{what.id}"
        print(f"kill {self.kills:2} {executor}  {step}  {what.label}  after {seconds:.2f} s", flush=True)


@dataclass(frozen=True)
class Known:
    """A step of the suite, as the undisturbed run recorded it."""

    id: str
    kind: str
    label: str
    seconds: float


def run(runs: Path, executor: str) -> int:
    """Start the suite in a fork; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        out = os.open(runs.with_suffix(".log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from harness.executors.options import RunOptions
        from harness.run import pipeline

        loaded = suites.load(TINY, [BENCHMARKS])
        jobs = AT_ONCE if executor == "jobs" else None
        options = RunOptions(executor=executor, jobs=jobs, resources=["cpus=1"])
        pipeline.run(loaded, runs, options, only=[METHOD])
        sys.stdout.flush()
        os._exit(0)
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
        os._exit(1)


@dataclass
class Siege:
    """One executor's runs in one folder, until one of them is through."""

    runs: Path
    executor: str
    known: dict[str, Known]
    tally: Tally
    seen: dict[Path, int] = field(default_factory=dict)  # when each artifact was made

    def one_run(self, kills: int, of_workers: bool) -> None:
        """Start a run, kill it, or workers of it, so often, and look at what is left of it."""
        child = run(self.runs, self.executor)
        began = time.monotonic()
        for _ in range(kills):
            if not (self.kill_inside(child, of_workers) and of_workers):
                break
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() - began > SECONDS_A_RUN:
                self.tally.lost.append(f"a run of {self.executor} hangs")
                os.kill(child, signal.SIGKILL)
            time.sleep(0.05)
        self.check()

    def kill_inside(self, child: int, of_workers: bool) -> bool:
        """Wait for a step and kill its process, or the one that drives it; whether that came about."""
        passed: set[str] = set()
        while psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
            for number, owner in at_work(self.runs):
                step = self.known[number]
                fresh = step.kind not in self.tally.kinds
                if number in passed or not (fresh or self.tally.random.random() < CHOSEN):
                    passed.add(number)
                    continue
                seconds = 0.0 if fresh else self.tally.random.random() * min(step.seconds, 3.0)
                time.sleep(seconds)
                if dict(at_work(self.runs)).get(number) != owner:  # too late
                    passed.add(number)
                    continue
                self.kill(owner if of_workers else child)
                if number not in finished(self.runs):
                    self.tally.note(self.executor + ("'s worker" if of_workers else ""), step, seconds)
                return True
            time.sleep(0.001)
        return False

    def kill(self, victim: int) -> None:
        """Kill a process; what it had started must end by itself."""
        below = psutil.Process(victim).children(recursive=True)
        agents = [p for p in below if p.name() in AGENTS]
        self.tally.agents += agents
        below = [p for p in below if p not in agents]
        os.kill(victim, signal.SIGKILL)
        _, alive = psutil.wait_procs(below, timeout=SECONDS_TO_END)
        self.tally.lost += [f"left over: {p}" for p in alive]

    def check(self) -> None:
        """Every artifact in sight is whole, and as old as it was."""
        from harness.store import maintenance
        from harness.store.store import Store

        self.tally.lost += map(str, maintenance.damaged(Store(self.runs / "store")))
        now = {
            a.folder: a.folder.stat().st_ctime_ns for a in maintenance.artifacts(Store(self.runs / "store"))
        }
        self.tally.lost += [f"made again: {p}" for p, made in self.seen.items() if now.get(p) != made]
        self.seen.update(now)


def survived(
    executor: str, kills: int, known: dict[str, Known], rows: dict[str, bytes], tally: Tally
) -> None:
    """Kill runs of the suite until there were so many kills; each suite that is through is compared."""
    until, turn = tally.kills + kills, 0
    while tally.kills < until:
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            siege = Siege(Path(folder) / "runs", executor, known, tally)
            while not (siege.runs / "tiny" / "report.html").exists():
                turn += 1
                of_workers = executor != "inline" and turn % 2 == 0
                siege.one_run(min(OFTEN if of_workers else 1, until - tally.kills), of_workers)
            found = {name: (siege.runs / "tiny" / name).read_bytes() for name in ROWS}
            tally.lost += [f"{name} of {executor} differs" for name in ROWS if found[name] != rows[name]]
            tally.lost += [f"left: {p}" for p in siege.runs.glob("store/partial/*")]


def finished(runs: Path) -> set[str]:
    """The ids of the artifacts in sight, not of one on its way into the store."""
    folders = (p.parent for p in runs.glob("store/*/*/RECORD.json"))
    return {f.name.rpartition("-")[2] for f in folders if f.parent.name != "partial"}


def at_work(runs: Path) -> Iterator[tuple[str, int]]:
    """The ids of steps that are locked, each with the process that has it."""
    for path in (p for p in runs.glob("store/locks/*") if "." not in p.name):
        try:
            owner = json.loads(path.read_text())["pid"]
        except (ValueError, FileNotFoundError):
            continue
        if psutil.pid_exists(owner):
            yield path.name, owner


def undisturbed(folder: Path) -> tuple[dict[str, Known], dict[str, bytes]]:
    """The steps and the rows of a run that nobody kills."""
    _, status = os.waitpid(run(folder, "inline"), 0)
    assert status == 0, folder.with_suffix(".log").read_text()
    from harness.store import maintenance
    from harness.store.store import Store

    records = [a.record for a in maintenance.artifacts(Store(folder / "store"))]
    known = {r["id"]: Known(r["id"], r["kind"], r["label"], r["seconds"]) for r in records if r}
    return known, {name: (folder / "tiny" / name).read_bytes() for name in ROWS}


def main(words: list[str] | None = None) -> int:
    """Exit status 0 where nothing was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inline", type=int, default=35)
    parser.add_argument("--jobs", type=int, default=15)
    parser.add_argument("--ray", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    records.option(parser)
    given = parser.parse_args(words)
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CI": "true"}
    from harness.cli.options import quiet_libraries

    quiet_libraries()
    import harness.data.prepare
    import harness.evaluate.answers
    import harness.evaluate.judgments
    import harness.run.pipeline
    import harness.signals.stored
    import harness.train.step  # noqa: F401

    tally, began, told = Tally(given.seed), time.monotonic(), list[records.Row]()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        known, rows = undisturbed(Path(folder) / "runs")
    kinds = {k.kind for k in known.values()}
    for executor, kills in (("inline", given.inline), ("jobs", given.jobs), ("ray", given.ray)):
        before = len(tally.lost)
        survived(executor, kills, known, rows, tally)
        told += [_row(executor, kills, tally.lost[before:])] if kills else []
        found = records.Found("python -m tests.kill_test", round(time.monotonic() - began), told, tally.lost)
        records.write(given.record, "kills", found)
    if given.inline >= len(kinds) and (missed := kinds - set(tally.kinds)):
        tally.lost.append(f"never killed inside: {', '.join(sorted(missed))}")
    _, alive = psutil.wait_procs(tally.agents, timeout=SECONDS_OF_AGENTS)
    tally.lost += [f"left over: {p}" for p in alive]
    for fault in tally.lost:
        print(f"LOST {fault}")
    seconds = time.monotonic() - began
    found = records.Found("python -m tests.kill_test", round(seconds), told, tally.lost)
    records.write(given.record, "kills", found)
    print(f"survived {tally.kills} / lost {len(tally.lost)}; {seconds:.0f} s")
    return bool(tally.lost)


def _row(executor: str, kills: int, lost: list[str]) -> records.Row:
    """A line of docs/reliability.md."""
    where = {"inline": "steps in the command's own process", "jobs": f"`--jobs {AT_ONCE}`", "ray": "Ray"}
    victims = "the command" if executor == "inline" else "the command and its workers by turns"
    return records.Row(
        f"SIGKILL {kills} times, {where[executor]}",
        f"{victims}, at a random moment inside a step",
        "; ".join(lost)
        or "the same command goes on; rows as undisturbed, byte for byte; no process left over",
        f"{len(lost)} faults" if lost else "0 of the steps that were done",
    )


if __name__ == "__main__":
    sys.exit(main())
