"""Print what our losses, TRL's and the authors' say of the same numbers; exit 1 where they are too far apart.

`--write` puts the tables into docs/parity.md.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import reduce
from importlib.metadata import version
from pathlib import Path

import transformers
from datasets import disable_progress_bars

from tests.parity import distillation, pairs, reference_free, unpaired
from tests.parity.authors import compared, goldens
from tests.parity.table import Compared, Part, put, show
from tests.parity.world import World, world
from tests.paths import ROOT

PAGE = ROOT / "docs" / "parity.md"


def same(at: World) -> Iterator[Compared]:
    for family in (pairs, unpaired, reference_free, distillation):
        yield from family.same(at)


def differing(at: World) -> Iterator[Compared]:
    for family in (pairs, reference_free):
        yield from family.differing(at)


def authors(folder: Path) -> Iterator[Compared]:
    for i, (golden, case) in enumerate(goldens()):
        yield compared(golden, case, folder / f"authors-{i}")


def main() -> int:
    warnings.simplefilter("ignore", FutureWarning)  # of transformers, about names that TRL still uses
    disable_progress_bars()
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        at = world(Path(folder))
        parts = [
            Part("Same formula", "TRL", list(same(at)), judged=True),
            Part("What the authors' code says", "authors' code", list(authors(Path(folder))), judged=True),
            Part("Other readings", "TRL", list(differing(at)), judged=False),
        ]
    show(parts)
    print(", ".join(f"{name} {version(name)}" for name in ("trl", "transformers", "torch")))
    if "--write" in sys.argv[1:]:
        page = reduce(put, parts, PAGE.read_text())
        PAGE.write_text(page)
    return 0 if all(c.ok for part in parts if part.judged for c in part.compared) else 1


if __name__ == "__main__":
    sys.exit(main())
