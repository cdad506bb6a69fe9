"""A disk that is full at each write, a small one of its own: `python -m tests.reliability.full_disk`.

    inline   full at 64 KiB: train-592193874bef ... No space left on device
    ...
    41 full disks on inline, 3 jobs and Ray: 0 lost

The store and the results lie on a tmpfs that is grown by a little each time a command has filled it, so that
each write in turn is the one that finds no room. Each command ends with exit code 1 and one line that says
so; what is done stays whole by its checksums; once there is room the same command goes on, to the rows of a
run that nobody disturbed, byte for byte. Only root may mount: for others it says so and is skipped.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.paths import TINY
from tests.reliability import forks, records
from tests.reliability.moments import EXECUTORS, damage, rows

SUITE = "--set=benchmarks={rule: {data: world/test, max_tokens: 8}, implicit-reward: {}}"
WORDS = ["run", str(TINY), "--only=ADPA", SUITE, "--name=tiny"]
STEP = 96  # KiB that the disk grows by
MOST = 64 << 10  # KiB
LONGEST = 300  # characters of a line
FULL = "No space left on device"
COMMAND = "python -m tests.reliability.full_disk"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many KiB at a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def grown(folder: Path, size: int) -> None:
    """Give the file system more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}k", str(folder)], check=True)


def filled(executor: str, step: int, known: dict[str, bytes], folder: Path) -> tuple[int, list[str]]:
    """Run on a disk that grows until the command is through; how often it was full, and what must not be."""
    faults, times, size = list[str](), 0, step
    more = [*EXECUTORS[executor], f"--runs={folder / 'disk' / 'runs'}"]
    with small_disk(folder / "disk", size):
        while size < MOST:
            env = {"BENCH_EXECUTOR": executor}
            code, line = forks.ended([*WORDS, *more], folder / "command.log", env)
            if code == 0:
                break
            times += 1
            print(f"{executor:8} full at {size} KiB: {line[:160]}", flush=True)
            if code != 1 or FULL not in line or len(line) > LONGEST:
                faults.append(
                    f"{executor}, {size} KiB: exit code {code}, {len(line)} characters: {line[:200]}"
                )
            # What is left beside goes with the next run; what is in the store must be whole.
            faults += [x for x in damage(folder / "disk" / "runs") if not x.startswith("left: ")]
            size += step
            grown(folder / "disk", size)
        found = rows(folder / "disk" / "runs")
        faults += [f"{executor}: {name} differs" for name in known if found.get(name) != known[name]]
        faults += damage(folder / "disk" / "runs")
    return times, faults


def main(words: list[str] | None = None) -> int:
    """Exit status 0 where nothing was lost."""
    parser = argparse.ArgumentParser(description="Fill the disk at each write.")
    parser.add_argument("--executors", nargs="*", default=list(EXECUTORS), choices=EXECUTORS)
    parser.add_argument("--step", type=int, default=STEP, help="KiB that the disk grows by")
    records.option(parser)
    asked = parser.parse_args(words)
    if os.geteuid():
        print("skipped: only root may mount a small file system")
        return 0
    forks.prepare()
    began, told, lost, all_times = time.monotonic(), list[records.Row](), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="full-") as name:
        folder = Path(name)
        code, line = forks.ended(
            [*WORDS, f"--runs={folder / 'runs'}"], folder / "c.log", {"BENCH_EXECUTOR": "inline"}
        )
        assert code == 0, line
        known = rows(folder / "runs")
        for executor in asked.executors:
            times, faults = filled(executor, asked.step, known, folder / executor)
            told.append(_row(executor, asked.step, times, faults))
            lost, all_times = lost + faults, all_times + times
    for fault in lost:
        print(f"LOST {fault}")
    seconds = time.monotonic() - began
    command = records.command(COMMAND, asked.executors, EXECUTORS)
    records.write(asked.record, "full_disk", records.Found(command, round(seconds), told, lost))
    print(f"{all_times} full disks on {', '.join(asked.executors)}: {len(lost)} lost; {seconds:.0f} s")
    return bool(lost)


def _row(executor: str, step: int, times: int, faults: list[str]) -> records.Row:
    """A line of the page."""
    where = {"inline": "one step at a time", "jobs": "`--jobs 3`", "ray": "Ray"}[executor]
    return records.Row(
        f"disk full, {times} times on the way, {where}",
        f"store and results on a tmpfs that grows by {step} KiB once it is full",
        "; ".join(faults)
        or "one line and exit code 1 each time; with room the same command goes on; "
        "rows as undisturbed, byte for byte",
        f"{len(faults)} faults" if faults else "0 steps that were done",
    )


if __name__ == "__main__":
    sys.exit(main())
