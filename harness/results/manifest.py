"""What a run exported: whose numbers lie in which file, and every file's checksum.

exports/manifest.json  {"rows": [{"benchmark": "mt-bench", "like": "mt-bench", "row": "ADPA", ...}],
                        "files": {"mt-bench/model_answer/ADPA.jsonl": "9f3a..."}}
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.common.files import replace, sha256
from reports.records import jsonl
from reports.records.rows import optional

NAME = "manifest.json"
LEFT = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini")


@dataclass(frozen=True)
class ExportedRow:
    """One row of the table in an export.

    The fields from `pair` on are those of the run's rows; `row` is what files call it, and the two folders
    are judge and reference as parts of a path. `like` names the declaration that the benchmark is asked like.
    """

    benchmark: str
    like: str
    row: str
    judge_folder: str
    reference_folder: str
    pair: str
    dataset: str
    method: str
    seed: int
    judge: str
    reference: str
    world_seed: int = optional(0)


@dataclass(frozen=True)
class Manifest:
    """All rows, and path -> sha256 of every file."""

    rows: tuple[ExportedRow, ...]
    files: Mapping[str, str]

    def differences(self, folder: Path) -> list[str]:
        """What is not as it was written: files that are changed, gone, or of others, by name."""
        found = checksums(folder)
        changed = [n for n, digest in self.files.items() if n in found and found[n] != digest]
        return [
            *(f"{name} is not as the run wrote it" for name in changed),
            *(f"{name} is gone" for name in self.files if name not in found),
            *(f"{name} was not written by this run" for name in found if name not in self.files),
        ]


def checksums(folder: Path) -> dict[str, str]:
    """Path below `folder` -> sha256, of every file but the manifest itself and what file managers leave."""
    paths = sorted(
        p for p in folder.rglob("*") if p.is_file() and p != folder / NAME and not LEFT.fullmatch(p.name)
    )
    return {p.relative_to(folder).as_posix(): sha256(p) for p in paths}


def write(rows: Iterable[ExportedRow], files: Mapping[str, str], folder: Path) -> None:
    """Write the manifest of a folder."""
    text = json.dumps(
        {"rows": [jsonl.line(row) for row in rows], "files": files}, indent=1, ensure_ascii=False
    )
    replace(folder / NAME, text)


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where it has none. ValueError: it is damaged."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except ValidationError as fault:
        raise ValueError(f"{path} is damaged: {fault.errors()[0]['msg']}") from None
