"""Kills inside every kind of step, at its own writes: `python -m tests.reliability.moments`.

    first    train                    inline  killed before write 1 of 9 of train-592193874bef, gone on
    ...
    234 kills inside 26 kinds on inline, jobs, ray: 0 lost

A run that nobody disturbs tells the writes of each step (hook/sitecustomize.py); of each kind the step with
most is killed before its first, middle and last one. A command that dies is given again until it is through;
of 3 jobs and on Ray the worker dies, and the command goes on by itself. Then all rows are those of the run
that nobody disturbed, byte for byte, every artifact is whole by its checksums, and nothing is left over.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.run.kinds import KINDS
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV
from tests.reliability import forks, records, world
from tests.reliability.hook import sitecustomize

MOMENTS = {"first": 0.0, "middle": 0.5, "last": 1.0}  # of a step's writes
EXECUTORS = {"inline": [], "jobs": ["--jobs", "3"], "ray": ["--resources", "cpus=1"]}
ROWS = ("results.jsonl", "training.jsonl", "summaries.jsonl", "texts.jsonl")
TRIES = 60  # of one command
COMMANDS = ("letters", "tiny", "check")
COMMAND = "python -m tests.reliability.moments"


@dataclass(frozen=True)
class Known:
    """What the run that nobody disturbed tells: of each kind a step with its number of writes, and rows."""

    steps: dict[str, tuple[str, int]]
    rows: dict[str, bytes]


def given(words: list[str], runs: Path, executor: str, spec: Path) -> tuple[int, str]:
    """Give a command; its exit code and last line."""
    hook = str(Path(sitecustomize.__file__).parent)
    path = os.pathsep.join((hook, os.environ.get("PYTHONPATH", "")))
    env = {"BENCH_EXECUTOR": executor, "PYTHONPATH": path, sitecustomize.SPEC: str(spec), KEY_ENV: KEY}
    more = EXECUTORS[executor] if words[0] == "run" else []
    return forks.ended([*words, *more, f"--runs={runs}"], runs.with_suffix(".log"), env)


def undisturbed(commands: dict[str, list[str]], folder: Path) -> Known:
    """Run all commands, and look which steps write how often."""
    log, spec, runs = folder / "writes", folder / "undisturbed.json", folder / "undisturbed"
    spec.write_text(json.dumps({"at": {}, "killed": str(folder), "log": str(log)}))
    for words in commands.values():
        code, line = given(words, runs, "inline", spec)
        assert code == 0, line
    writes = Counter(line.split()[0] for line in log.read_text().splitlines())
    steps: dict[str, tuple[str, int]] = {}
    for path in runs.glob("store/*/*/RECORD.json"):
        record = json.loads(path.read_text())
        kind, count = kind_of(record), writes[record["id"]]
        if count > steps.get(kind, ("", 0))[1]:
            steps[kind] = record["id"], count
    missing = {kind.name for kind in KINDS} - {kind.partition(" of ")[0] for kind in steps}
    if missing and len(commands) == len(COMMANDS):
        raise ValueError(f"no step of kind {', '.join(sorted(missing))} in the commands of world.py")
    return Known(steps, rows(runs))


def kind_of(record: dict[str, Any]) -> str:
    """The kind of a step; of answers that no model here gave, with whose they are."""
    given = {key.partition(".")[0] for key in record["settings"]}
    others = sorted(given & {"endpoint", "control", "answers"}) if record["kind"] == "answers" else []
    return " of ".join((record["kind"], *others))


def rows(runs: Path) -> dict[str, bytes]:
    """What the commands found, but for seconds."""
    found = {f"{run.name}/{name}": run / name for run in runs.iterdir() for name in ROWS}
    found |= {str(path.relative_to(runs)): path for path in runs.glob("store/judge-check/*/quality.json")}
    return {name: path.read_bytes() for name, path in found.items() if path.exists()}


def killed(
    commands: dict[str, list[str]], known: Known, executor: str, moment: str, folder: Path
) -> Iterator[str]:
    """Kill inside every kind at one moment of it, and go on to the end; yields what must not be."""
    flags, spec, runs = folder / "killed", folder / "spec.json", folder / "runs"
    flags.mkdir(parents=True)
    at = {step: round(MOMENTS[moment] * (count - 1)) for step, count in known.steps.values()}
    spec.write_text(json.dumps({"at": at, "killed": str(flags), "log": None}))
    for name, words in commands.items():
        for _ in range(TRIES):
            code, line = given(words, runs, executor, spec)
            if code == 0:
                break
            if code != -9:
                yield f"{executor}: {name} ended with {code}: {line}"
                return
    dead = {path.name for path in flags.iterdir()}
    for kind, (step, count) in known.steps.items():
        told = f"killed before write {at[step] + 1} of {count}, gone on" if step in dead else "NOT KILLED"
        print(f"{moment:7} {kind:20} {executor:7} {told} ({step})", flush=True)
        if step not in dead:
            yield f"{executor}: never killed inside {kind} at its {moment} write"
    yield from (f"{executor}: {name} differs" for name, x in rows(runs).items() if known.rows[name] != x)
    yield from (f"{executor}: {name} is missing" for name in known.rows.keys() - rows(runs).keys())
    yield from damage(runs)


def damage(runs: Path) -> Iterator[str]:
    """Artifacts that are not as they were written, and partial work that is left."""
    from harness.store import maintenance
    from harness.store.store import Store

    yield from maintenance.damaged(Store(runs / "store"))
    yield from (f"left: {path}" for path in runs.glob("store/partial/*"))


def row(known: Known, executor: str, moment: str, faults: list[str]) -> records.Row:
    """A line of the page."""
    where = {"inline": "in the command's own process", "jobs": "with `--jobs 3`", "ray": "on Ray"}[executor]
    on = "the same command, given again, goes on" if executor == "inline" else "the step is made again"
    return records.Row(
        f"SIGKILL before the {moment} write of a step of every kind ({len(known.steps)}), {where}",
        "an audit hook of Python in the process that writes",
        f"{on}; rows as undisturbed, byte for byte" if not faults else "; ".join(faults),
        "0 steps" if not faults else f"{len(faults)} faults",
    )


def main(words: list[str] | None = None) -> int:
    """Exit status 0 where nothing was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--executors", nargs="*", default=list(EXECUTORS), choices=EXECUTORS)
    parser.add_argument("--moments", nargs="*", default=list(MOMENTS), choices=MOMENTS)
    parser.add_argument("--only", nargs="*", default=list(COMMANDS), choices=COMMANDS)
    records.option(parser)
    asked = parser.parse_args(words)
    forks.prepare()
    began, told, lost, kills = time.monotonic(), list[records.Row](), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="moments-") as name:
        folder = Path(name)
        for server in judging_server.running(folder / "asked.jsonl"):
            commands = {n: w for n, w in world.commands(folder / "in", server.url).items() if n in asked.only}
            known = undisturbed(commands, folder)
            for executor in asked.executors:
                for moment in asked.moments:
                    own = folder / f"{executor}-{moment}"
                    faults = list(killed(commands, known, executor, moment, own))
                    kills += len(list((own / "killed").iterdir()))
                    told.append(row(known, executor, moment, faults))
                    lost += faults
                    # After each, since all of them may take an hour.
                    command = records.command(COMMAND, asked.executors, EXECUTORS)
                    found = records.Found(command, round(time.monotonic() - began), told, lost)
                    records.write(asked.record, "moments", found)
    for fault in lost:
        print(f"LOST {fault}")
    seconds = time.monotonic() - began
    on = ", ".join(asked.executors)
    print(f"{kills} kills inside {len(known.steps)} kinds on {on}: {len(lost)} lost; {seconds:.0f} s")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
