"""A run's results, read from its folder: tables, statistics, the page; notebooks call `results`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.notebook import Results


def results(run: str | Path) -> "Results":
    """The results in a run's folder, such as runs/pocket; ValueError where it is none."""
    from reports.notebook import read  # pandas takes a second, which no other import of this package needs

    return read(Path(run))
