"""Where the names of a scatter plot's points go: beside their point, clear of others.

Greedy, in the order of the points: the first free of eight places, else the least covered one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

LETTER, LINE, GAP, DOT = 6.2, 12.0, 7.0, 9.0  # px: width and height of a letter at 11 px, gap, point


class Place(NamedTuple):
    """A name beside its point: an offset in px, and which of its ends stands there."""

    dx: float
    dy: float
    align: str


class Box(NamedTuple):
    """A rectangle in px."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """The common area."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)


PLACES = (
    Place(GAP, 0, "left"),
    Place(-GAP, 0, "right"),
    Place(0, -11, "center"),
    Place(0, 11, "center"),
    *(Place(x * 5, y * 10, "left" if x > 0 else "right") for y in (-1, 1) for x in (1, -1)),
    Place(0, -22, "center"),
    Place(0, 22, "center"),
)


def place(
    points: Sequence[tuple[float, float]], texts: Sequence[str], size: tuple[float, float]
) -> list[Place]:
    """A place for each text beside its point; points in px within `size`, y downwards."""
    width, height = size
    taken = [Box(x - DOT / 2, y - DOT / 2, x + DOT / 2, y + DOT / 2) for x, y in points]
    places = []
    for (x, y), text in zip(points, texts, strict=True):
        best, least, box = PLACES[0], math.inf, taken[0]
        for candidate in PLACES:
            own = _box(x, y, LETTER * len(text), candidate)
            outside = max(0.0, -own.left, own.right - width) + max(0.0, -own.top, own.bottom - height)
            # A name that is cut off at the edge is worse than one that covers another.
            covered = sum(own.overlap(other) for other in taken) + 1000 * outside
            if covered < least:
                best, least, box = candidate, covered, own
        places.append(best)
        taken.append(box)
    return places


def _box(x: float, y: float, wide: float, at: Place) -> Box:
    left = x + at.dx - {"left": 0.0, "center": wide / 2, "right": wide}[at.align]
    return Box(left, y + at.dy - LINE / 2, left + wide, y + at.dy + LINE / 2)
