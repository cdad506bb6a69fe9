"""What was compared with what, and how far the two are apart."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

TOLERANCE = 1e-5
TEXTS = 4  # columns before the numbers


@dataclass(frozen=True)
class Result:
    """A loss and its gradient at every parameter of the policy."""

    loss: float
    gradient: Mapping[str, Tensor]


@dataclass(frozen=True)
class Compared:
    """One method of ours and the code it is compared with, on one batch."""

    method: str
    setting: str  # hyper-parameters of ours
    source: str  # TRL's class and what of it, or the authors' repository
    ours: Result
    theirs: Result
    reading: str = ""  # what has to be the same on both sides for the two to be one formula

    @property
    def loss_apart(self) -> float:
        """|loss - loss|"""
        return abs(self.ours.loss - self.theirs.loss)

    @property
    def gradient_apart(self) -> float:
        """The largest absolute difference of any parameter's gradient."""
        assert self.ours.gradient.keys() == self.theirs.gradient.keys()
        pairs = [(self.ours.gradient[name], theirs) for name, theirs in self.theirs.gradient.items()]
        return float(torch.stack([(ours - theirs).abs().max() for ours, theirs in pairs]).max())

    @property
    def largest(self) -> float:
        """The largest absolute value in their gradient: what the difference of two is read against."""
        return float(torch.stack([g.abs().max() for g in self.theirs.gradient.values()]).max())

    @property
    def ok(self) -> bool:
        """Whether both are within the tolerance, of a gradient that is not 0."""
        within = self.loss_apart <= TOLERANCE and self.gradient_apart <= TOLERANCE
        return within and self.largest > TOLERANCE


@dataclass(frozen=True)
class Part:
    """Comparisons of one kind of source, under a heading of docs/parity.md."""

    heading: str
    source: str  # whose code the column of sources names
    compared: Sequence[Compared]
    judged: bool  # whether each has to be within the tolerance

    def columns(self) -> list[str]:
        numbers = ["loss", "loss apart", "largest gradient", "gradient apart"]
        return ["method", "setting", self.source, "reading", *numbers, *(["tolerance", "ok"] * self.judged)]

    def rows(self) -> list[list[str]]:
        """One row a comparison."""
        return [_row(c) + [f"{TOLERANCE:.0e}", "yes" if c.ok else "NO"] * self.judged for c in self.compared]


def _row(c: Compared) -> list[str]:
    numbers = [f"{c.ours.loss:.4f}", f"{c.loss_apart:.1e}", f"{c.largest:.2g}", f"{c.gradient_apart:.1e}"]
    return [c.method, c.setting, c.source, c.reading, *numbers]


def show(parts: Sequence[Part]) -> None:
    """Print all tables, as wide as they are."""
    console = Console(width=200, highlight=False)
    for part in parts:
        found = Table(title=Text(part.heading), title_justify="left")
        for i, name in enumerate(part.columns()):
            number = i >= TEXTS
            found.add_column(name, overflow="fold", justify="right" if number else "left", no_wrap=number)
        for row in part.rows():
            found.add_row(*map(Text, row))
        console.print(found)
    judged = [c for part in parts if part.judged for c in part.compared]
    console.print(f"{sum(c.ok for c in judged)} of {len(judged)} within {TOLERANCE:.0e}")


def markdown(part: Part) -> str:
    """The table as docs/parity.md has it."""
    columns = part.columns()
    rule = ["---:" if i >= TEXTS and name != "ok" else "---" for i, name in enumerate(columns)]
    return "".join("| " + " | ".join(row) + " |\n" for row in (columns, rule, *part.rows()))


def put(page: str, part: Part) -> str:
    """The page with the part's table in the place of the first one under its heading."""
    before, heading, after = page.partition(f"## {part.heading}\n")
    assert heading, f"no heading {part.heading!r}"
    table = re.compile(r"(^\|.*\n)+", re.MULTILINE)
    return before + heading + table.sub(lambda _: markdown(part), after, count=1)
