"""What steps will read of a generated world, looked for in a small one: what is not there shows before any
work.
"""

import re
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from harness.models.prepare import WORLD
from harness.pocket.build import World, build
from harness.store.step import Part, Source

MOST = 2_000  # questions of a kind, which are written in a second; a benchmark may want as many as there are


def folder(source: Source) -> Path | None:
    """A folder of the world, all of which is small but the questions; None for one of no world."""
    step, inside = (source.step, source.folder) if isinstance(source, Part) else (source, "")
    return _small(step.settings) / inside if step.kind == WORLD else None


@cache
def _place() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="bench-")


@cache
def _small(world: World) -> Path:
    made = Path(tempfile.mkdtemp(dir=_place().name))
    asked = {"questions": min(world.questions, MOST), "mt_questions": min(world.mt_questions, MOST)}
    build(replace(world, pretrain=1, sft=1, pairs=1, validation_pairs=1, **asked), made)
    return made


def told(fault: ValueError) -> str:
    """A fault of what lies in the small world, as one of the world."""
    return re.sub(f"{re.escape(_place().name)}/[^/]+", "world", str(fault))
