"""What cases need that no line of text can hold: each function makes it in the folder of its case."""

import os
from collections.abc import Callable
from pathlib import Path


def folder_as_suite(folder: Path) -> None:
    """suite.yaml is a folder."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    (folder / "suite.yaml").mkdir()


def dangling_suite(folder: Path) -> None:
    """suite.yaml is a link to nothing."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    (folder / "suite.yaml").symlink_to(folder / "gone.yaml")


def pipe_as_suite(folder: Path) -> None:
    """suite.yaml is a pipe that nobody writes to."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    os.mkfifo(folder / "suite.yaml")


MAKERS: dict[str, Callable[[Path], None]] = {
    made.__name__: made for made in (folder_as_suite, dangling_suite, pipe_as_suite)
}
