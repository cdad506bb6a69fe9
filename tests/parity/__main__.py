"""Print what our losses and TRL's say of the same batch; exit 1 where they are too far apart."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import transformers
from datasets import disable_progress_bars

from tests.parity import distillation, pairs, reference_free, unpaired
from tests.parity.table import Compared, show
from tests.parity.world import World, world


def same(at: World) -> Iterator[Compared]:
    for family in (pairs, unpaired, reference_free, distillation):
        yield from family.same(at)


def differing(at: World) -> Iterator[Compared]:
    for family in (pairs, reference_free):
        yield from family.differing(at)


def main() -> int:
    warnings.simplefilter("ignore", FutureWarning)  # of transformers, about names that TRL still uses
    disable_progress_bars()
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        at = world(Path(folder))
        judged, others = list(same(at)), list(differing(at))
    versions = ", ".join(f"{name} {version(name)}" for name in ("trl", "transformers", "torch"))
    show(versions, judged, others)
    return 0 if all(c.ok for c in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
