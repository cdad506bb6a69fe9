"""The process that parts run in: what it is asked is its argument, its lines go to stdout."""

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.gpu.check import Absent, Check, Part

SHOWN = 6  # lines of a traceback
BROKEN = 3  # exit code where the GPU has no context any more


def main() -> int:
    asked = json.loads(sys.argv[1])
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like: stdout is the lines' alone

    def write(part: str, **line: object) -> None:
        said.write(json.dumps({"part": part, **line}, default=str) + "\n")
        said.flush()

    check = Check(Path(asked["folder"]), asked["small"], asked["until"])
    for name, target in asked["parts"].items():
        if time.time() >= check.until:
            break
        write(name, begins=True)
        if not _run(name, target, check, write):
            return BROKEN
    return 0


def _run(name: str, target: str, check: Check, write: Callable[..., None]) -> bool:
    """Run a part; says whether the process can go on with the next."""
    began, (module, function) = time.time(), target.split(":")
    try:
        part: Part = getattr(import_module(module), function)
        for line in part(check):
            write(name, **line)
    except Absent as reason:
        write(name, absent=str(reason))
    except Exception as error:  # whatever it is: the next part is worth having all the same
        where = traceback.format_exc().splitlines()[-SHOWN:]
        write(name, error=f"{type(error).__name__}: {error}"[:600], where=where)
    else:
        write(name, seconds=round(time.time() - began, 1))
    return _emptied()


def _emptied() -> bool:
    """Give back what a part held; False where the GPU answers no more."""
    if "torch" not in sys.modules:
        return True
    import torch

    gc.collect()
    if torch.cuda.is_available():
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        except RuntimeError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
