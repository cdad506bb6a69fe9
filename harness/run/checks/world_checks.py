"""What steps will read of a generated world, looked for in a small one: what is not there shows before any
work.
"""

import tempfile
from functools import cache
from pathlib import Path

from harness.models.prepare import WORLD
from harness.pocket.build import World, build
from harness.store.step import Part, Source

LEAST = World(
    animals=8, people=8, pretrain=1, sft=1, pairs=1, validation_pairs=1, questions=8, mt_questions=8
)


def folder(source: Source) -> Path | None:
    """A folder of the world as a small world has it; None for one that is none of a world's."""
    step, inside = (source.step, source.folder) if isinstance(source, Part) else (source, "")
    return Path(_small().name) / inside if step.kind == WORLD else None


@cache
def _small() -> "tempfile.TemporaryDirectory[str]":
    made = tempfile.TemporaryDirectory(prefix="bench-")
    build(LEAST, Path(made.name))
    return made


def told(fault: ValueError) -> str:
    """A fault of what lies in the small world, as one of the world."""
    return str(fault).replace(_small().name, "world")
