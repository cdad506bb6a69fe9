"""Data in a folder of one's own. Any file may be gzipped, <name>.gz: it is the content that counts."""

import gzip
import hashlib
from pathlib import Path

from benchmarks.file_bytes import told
from harness.common.files import files_below


def fingerprint(folder: Path) -> str:
    """What results depend on: "sha256:..." over the names and contents of all files below a folder but hidden
    ones, the same with or without .gz.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}")
    # Gzipped data are the same data: a folder may be compressed without new steps.
    names = sorted(_plain(p.relative_to(folder)) for p in files_below(folder))
    digest = hashlib.sha256()
    for name in dict.fromkeys(n for n in names if not any(part.startswith(".") for part in n.split("/"))):
        path = existing(folder, name)
        assert path is not None
        digest.update(f"{name}\0{content_sha256(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _plain(path: Path) -> str:
    return path.as_posix().removesuffix(".gz")


def existing(folder: Path, name: str) -> Path | None:
    """The file of that name, or the same gzipped."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def content_sha256(path: Path) -> str:
    """Of the content, unzipped where it is gzipped. ValueError where it cannot be."""
    with told(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
