"""One process of a training in several: `python -m harness.train.worker <kept>/launch` (launcher.py)."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.common import shutdown
from harness.common.files import replace
from harness.common.underway import news
from harness.store.step import StepLost
from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.launcher import RESULT, SPEC, STOP
from harness.train.micro_batches.room import NoRoom


def main(folder: Path) -> None:
    """One of the processes: train, and say how it ended."""
    shutdown.listen(folder / STOP)
    spec = json.loads((folder / SPEC).read_text())
    inputs = {name: Path(path) for name, path in spec["inputs"].items()}
    kept = spec["kept"] and Path(spec["kept"])
    work = TRAIN.work(spec["settings"], inputs, Path(spec["out"]), spec["context"], kept)
    # All stop where they agree to, or none: one that ended elsewhere would leave the others waiting for it.
    main = os.environ["RANK"] == "0"
    told = Path(spec["news"]) if main and spec["news"] else None
    with _telling(folder), news.telling(told), shutdown.deferred():
        measured = train.run(work)
        if main:
            replace(folder / RESULT, json.dumps({"measured": measured}))


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    try:
        yield
    except shutdown.Terminated as e:
        replace(folder / RESULT, json.dumps({"stopped": e.where}))
        raise SystemExit(0) from None
    except NoRoom as e:
        replace(folder / RESULT, json.dumps({"tokens": e.tokens}))
        raise
    except StepLost as e:
        replace(folder / RESULT, json.dumps({"lost": str(e)}))
        raise
    except ValueError as e:
        replace(folder / RESULT, json.dumps({"error": str(e)}))
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
