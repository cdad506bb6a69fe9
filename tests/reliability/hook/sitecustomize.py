"""Kills a process at chosen writes of chosen steps: Python imports this in every process that has its folder
on PYTHONPATH, and tests/reliability/forks.py calls `install` in its own forks.

A write is a file opened for writing, a folder made or a name changed below `partial/<id>.*` or
`unfinished/<id>`, the folders that a step has to itself: the step's own progress, not a clock, says when. A
folder counts once: it is made anew where its parents lacked, which only the first step of a store sees.
SPEC names a JSON file: {"at": {step id: number of the write, from 0}, "killed": folder, "log": file or null}.
"""

import json
import os
import re
import signal
import sys
from collections import Counter

SPEC = "BENCH_TEST_KILL_AT"
OF_A_STEP = re.compile(r"/(?:partial|unfinished)/([0-9a-f]{12})\b")
WRITES = ("open", "os.mkdir", "os.rename")


def install(path):
    """Watch this process's writes from here on."""
    with open(path) as file:
        spec = json.load(file)
    at, killed, log = spec["at"], spec["killed"], spec["log"]
    seen, made = Counter(), set()

    def watch(event, arguments):
        if event not in WRITES or (event == "open" and not is_writing(*arguments[1:3])):
            return
        file = os.path.abspath(arguments[0]) if is_path(arguments[0]) else ""
        if not (found := OF_A_STEP.search(file)) or (event, file) in made:
            return
        if event == "os.mkdir":
            made.add((event, file))
        step = found[1]
        number, seen[step] = seen[step], seen[step] + 1
        if log:
            with open(log, "a") as out:
                out.write(f"{step} {event} {arguments[0]}\n")
        if at.get(step) == number and is_first(os.path.join(killed, step)):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def is_path(given):
    """Whether a write names its file; one that is open already has a number."""
    return isinstance(given, str | os.PathLike)


def is_writing(mode, flags):
    """Whether a file is opened to be written to."""
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))


def is_first(flag):
    """Whether nobody was killed at that step before: the next process goes on from there."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


if SPEC in os.environ:
    install(os.environ[SPEC])
