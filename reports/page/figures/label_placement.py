"""Where the names of a scatter plot's points go: beside their point, clear of others, of points and of lines.

Each takes the place that covers least, in the order of the points, and then again while others have theirs.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

LETTER, LINE, GAP, DOT = 6.2, 12.0, 7.0, 9.0  # px: width and height of a letter at 11 px, gap, point
# What a px outside costs, a px² on a name or point, a px of a line inside, and a px away from the point.
OUTSIDE, COVERED, ON_LINE, FAR = 1000.0, 4.0, 8.0, 0.6
ROUNDS = 4


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

    def crossed(self, line: "Box") -> float:
        """How much of an upright or level line, a box without width or height, is inside."""
        wide = min(self.right, line.right) - max(self.left, line.left)
        high = min(self.bottom, line.bottom) - max(self.top, line.top)
        return max(wide, high) if min(wide, high) >= 0 else 0.0


PLACES = (
    Place(GAP, 0, "left"),
    Place(-GAP, 0, "right"),
    Place(0, -11, "center"),
    Place(0, 11, "center"),
    *(Place(x * 5, y * 9, "left" if x > 0 else "right") for y, x in product((-1, 1), (1, -1))),
    *(Place(x * 5, y * 16, "left" if x > 0 else "right") for y, x in product((-1, 1), (1, -1))),
    Place(0, -20, "center"),
    Place(0, 20, "center"),
    *(Place(x * 16, y * 16, "left" if x > 0 else "right") for y, x in product((-1, 0, 1), (1, -1))),
    *(Place(x * 5, y * 26, "left" if x > 0 else "right") for y, x in product((-1, 1), (1, -1))),
)


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    size: tuple[float, float],
    lines: Sequence[Box] = (),
) -> list[Place]:
    """A place for each text beside its point; points and lines in px within `size`, y downwards."""
    dots = [Box(x - DOT / 2, y - DOT / 2, x + DOT / 2, y + DOT / 2) for x, y in points]
    places: list[Place | None] = [None] * len(points)
    for _ in range(ROUNDS):
        for n in range(len(points)):
            others = [_box(points[k], texts[k], at) for k, at in enumerate(places) if at and k != n]

            def cost(at: Place, n: int = n, others: Sequence[Box] = others) -> float:
                own = _box(points[n], texts[n], at)
                covered = COVERED * sum(map(own.overlap, (*others, *dots)))
                crossed = ON_LINE * sum(map(own.crossed, lines))
                return covered + crossed + OUTSIDE * _outside(own, size) + FAR * (abs(at.dx) + abs(at.dy))

            places[n] = min(PLACES, key=cost)
    return [at for at in places if at]


def _outside(box: Box, size: tuple[float, float]) -> float:
    """How far a box reaches over the edges."""
    across = max(0.0, -box.left, box.right - size[0])
    return across + max(0.0, -box.top, box.bottom - size[1])


def _box(point: tuple[float, float], text: str, at: Place) -> Box:
    wide = LETTER * len(text)
    left = point[0] + at.dx - {"left": 0.0, "center": wide / 2, "right": wide}[at.align]
    return Box(left, point[1] + at.dy - LINE / 2, left + wide, point[1] + at.dy + LINE / 2)
