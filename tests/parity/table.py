"""What was compared with what, and how far the two are apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

TOLERANCE = 1e-5


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
    source: str  # TRL's class and what of it
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


def table(title: str, compared: Sequence[Compared], judged: bool) -> Table:
    """One row a comparison; `judged` ones say whether they are within the tolerance."""
    found = Table(title=Text(title), title_justify="left")
    for name in ("method", "setting", "TRL", "reading"):
        found.add_column(name, overflow="fold")
    names = ("loss", "|d loss|", "max |grad|", "max |d grad|", *(("tolerance", "ok") if judged else ()))
    for name in names:
        found.add_column(name, justify="right", no_wrap=True)
    for c in compared:
        numbers = [f"{c.ours.loss:.4f}", f"{c.loss_apart:.1e}", f"{c.largest:.2f}", f"{c.gradient_apart:.1e}"]
        verdict = [f"{TOLERANCE:.0e}", "yes" if c.ok else "NO"] if judged else []
        found.add_row(
            *(Text(cell) for cell in (c.method, c.setting, c.source, c.reading, *numbers, *verdict))
        )
    return found


def show(versions: str, same: Sequence[Compared], differing: Sequence[Compared]) -> None:
    """Print both tables, as wide as they are."""
    console = Console(width=200, highlight=False)
    console.print(table(f"Same formula: {versions}", same, judged=True))
    title = "Other readings, not judged: where TRL computes something else"
    console.print(table(title, differing, judged=False))
    wrong = sum(not c.ok for c in same)
    console.print(f"{len(same) - wrong} of {len(same)} within {TOLERANCE:.0e}")
