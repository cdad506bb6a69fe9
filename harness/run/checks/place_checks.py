"""What stands where a run writes, before any work: a file in a folder's place, or a folder in a file's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.common.files import is_taken
from harness.store.step import Step
from harness.store.store import PARTIAL, RUNNING, VERIFIED, Store

FOLDERS = ("logs", "tables", "exports")
ADVICE = "move it away, or name other --runs"
OF_THE_STORE = (PARTIAL, RUNNING, VERIFIED, "locks", "replies")
FILES = (".csv", ".html", ".json", ".jsonl", ".md", ".tex")


def check(steps: Sequence[Step], store: Store, out: Path) -> None:
    """ValueError where a run that writes its results into `out` could not make or write what it has to."""
    for folder in _folders(steps, store, out):
        if is_taken(folder) and not folder.is_dir():
            raise ValueError(f"{folder}: no folder, as one is written there; {ADVICE}")
    for path in (*out.glob("*"), *out.glob("tables/*")):
        # A link to nowhere is no hindrance: another file takes its name.
        if path.suffix in FILES and path.exists() and not path.is_file():
            raise ValueError(f"{path}: no file, as one is written there; {ADVICE}")


def _folders(steps: Sequence[Step], store: Store, out: Path) -> Iterator[Path]:
    yield from (out, *(out / name for name in FOLDERS))
    kinds = {step.kind.name for step in steps}
    yield from (store.root / name for name in (*sorted(kinds), *OF_THE_STORE))
