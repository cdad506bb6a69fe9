"""Figures with two axes that both say something: score against cost, and what alignment costs in ability."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from math import fsum
from typing import NamedTuple

from markupsafe import Markup

from reports.page.figures.figure import Figure, datasets, domain, kind, number, scale, spread
from reports.page.figures.label_placement import Box, place
from reports.page.figures.vega import (
    FAINT,
    LABEL,
    MUTED,
    POINT,
    WHISKER,
    WIDTH,
    Spec,
    data,
    inks,
    layer,
    quantity,
    svg,
)
from reports.page.table_views import RowView, TableView
from reports.tables.table import STUDENT, TEACHER, Column

SIZE, CROSSES = (
    (WIDTH, 280),
    (640, 380),
)  # px: of points alone, and with intervals, which leave names less room
POWER = "replace(format(datum.value, '.0e'), '+', '')"  # 2e11, as the tables write it


class Point(NamedTuple):
    """A method in the plane, in the units of the axes, with intervals where there are any."""

    method: str
    x: float
    y: float
    label: str  # what a pointer shows and a screen reader says
    spread: tuple[tuple[float, float], tuple[float, float]] | None = None  # x, y


def scatter(points: Sequence[Point], x_title: str, log: bool = False, front: bool = False) -> Markup:
    """Named points in the plane, with intervals as crosses; `front` joins those that none beats in both."""
    shown = [p for p in points if not log or p.x > 0]
    across = _span([v for p in shown for v in (p.x, *(p.spread[0] if p.spread else ()))], log)
    up = _span([v for p in shown for v in (p.y, *(p.spread[1] if p.spread else ()))], False)
    width, height = CROSSES if any(p.spread for p in shown) else SIZE
    inner = (width - 50.0, float(height))

    def px(x: float, y: float) -> tuple[float, float]:
        return _at(x, across, log) * inner[0], (1 - _at(y, up, False)) * inner[1]

    # Placed here and not by Vega-Lite, which would let names cover each other, and lines.
    lines = [Box(*px(x1, y2), *px(x2, y1)) for (x1, x2), (y1, y2) in _lines(shown, front, across, up)]
    placed = place([px(p.x, p.y) for p in shown], [p.method for p in shown], inner, lines)
    values = []
    for p, where in zip(shown, placed, strict=True):
        (x1, x2), (y1, y2) = p.spread or ((p.x, p.x), (p.y, p.y))
        one = {"method": p.method, "kind": kind(p.method), "label": p.label, "x": p.x, "y": p.y}
        values.append(one | {"x1": x1, "x2": x2, "y1": y1, "y2": y2, **where._asdict()})
    over = {"type": "log"} if log else {"type": "linear"}
    x = quantity("x", x_title, scale={"domain": across, "nice": False, **over})
    x["axis"] |= {"values": _ticks(across), "labelExpr": POWER} if log else {}
    y = quantity("y", scale={"domain": up, "nice": False})
    layers = _front(shown, x, y) if front else _zero_lines(x, y)
    if any(p.spread for p in shown):
        rule = WHISKER | {"strokeWidth": 1.5, "opacity": 0.35}
        layers += [
            layer(rule, x=x | {"field": "x1"}, x2={"field": "x2"}, y=y, color=inks(), description=LABEL),
            layer(rule, x=x, y=y | {"field": "y1"}, y2={"field": "y2"}, color=inks(), description=LABEL),
        ]
    offsets = {p: {"expr": f"datum.{p}"} for p in ("dx", "dy", "align")}
    text = {"type": "text", "baseline": "middle", "aria": False, **offsets}
    layers += [
        layer(POINT, x=x, y=y, color=inks(), description=LABEL),
        {"name": "named"} | layer(text, x=x, y=y, text={"field": "method"}),
    ]
    return svg(data(values) | {"height": height, "layer": layers}, width)


Span = tuple[float, float]


def _lines(
    points: Sequence[Point], front: bool, across: Sequence[float], up: Sequence[float]
) -> list[tuple[Span, Span]]:
    """The upright and level lines of a drawing, as what they span in x and y, low to high."""
    found = []
    for p in points:
        if p.spread:
            found += [(p.spread[0], (p.y, p.y)), ((p.x, p.x), p.spread[1])]
    if front:
        for one, two in pairwise(pareto(points)):
            found += [((one.x, two.x), (one.y, one.y)), ((two.x, two.x), (one.y, two.y))]
    else:
        found += [((0.0, 0.0), (up[0], up[1]))] * (across[0] < 0 < across[1])
        found += [((across[0], across[1]), (0.0, 0.0))] * (up[0] < 0 < up[1])
    return found


def _front(points: Sequence[Point], x: Spec, y: Spec) -> list[Spec]:
    """A dashed line of steps along the points that none beats in both."""
    best = [{"x": p.x, "y": p.y} for p in pareto(points)]
    mark = {"type": "line", "interpolate": "step-after", "color": MUTED, "strokeDash": [4, 3], "aria": False}
    return [data(best) | layer(mark, x=x, y=y)]


def _zero_lines(x: Spec, y: Spec) -> list[Spec]:
    """A line at 0 of each axis whose span holds it."""
    mark = {"type": "rule", "color": FAINT, "aria": False}
    return [
        data([{"zero": 0}]) | layer(mark, **{axis: encoding | {"field": "zero"}})
        for axis, encoding in (("x", x), ("y", y))
        if encoding["scale"]["domain"][0] < 0 < encoding["scale"]["domain"][1]
    ]


def _span(values: Sequence[float], log: bool) -> list[float]:
    """The span of the values with some room."""
    if not log:
        return domain(values)
    # On a logarithmic axis room is a factor.
    room = (max(values) / min(values)) ** 0.08 if max(values) > min(values) else 2.0
    return [min(values) / room, max(values) * room]


def _ticks(span: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten within a span; powers alone where those are many."""
    low, high = (math.floor(math.log10(v)) for v in span)
    candidates = [m * 10.0**e for e in range(low, high + 1) for m in (1, 2, 5)]
    ticks = [v for v in candidates if span[0] <= v <= span[1]]
    return ticks if len(ticks) < 7 else [v for v in ticks if f"{v:e}".startswith("1.0")]


def _at(value: float, span: Sequence[float], log: bool) -> float:
    """Where in its span a value is, 0-1."""
    low, high, at = (math.log(v) if log else v for v in (*span, value))
    return (at - low) / (high - low)


def pareto(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in both: no more of x and more of y; by x."""
    best: list[Point] = []
    # By cost, and of equal costs the best first: a point stays if it beats all cheaper ones.
    for p in sorted(points, key=lambda p: (p.x, -p.y, p.method)):
        if not best or p.y > best[-1].y:
            best.append(p)
    return best


def costs(main: TableView, cost: TableView) -> list[Figure]:
    """Each column whose highest is best against the FLOPs of training and of the teacher."""
    spent: dict[tuple[str, str], float] = {}
    wanted = [i for i, c in enumerate(cost.columns) if c.unit == "flops"]
    for row in cost.rows:
        flops = [number(row.cells[i]) for i in wanted]
        # What the Teacher and the Student cost was spent before any method began.
        if row.method not in (TEACHER, STUDENT) and all(f is not None for f in flops):
            spent[row.dataset, row.method] = fsum(f for f in flops if f is not None)
    figures, several = [], len(datasets(main)) > 1
    for i, column in enumerate(main.columns):
        if not column.best:
            continue
        for dataset, rows in datasets(main).items():
            points = [
                Point(
                    row.method,
                    spent[dataset, row.method],
                    scale(column) * value,
                    f"{row.method}: {row.cells[i].text.value} for {spent[dataset, row.method]:.1e} FLOPs",
                )
                for row in rows
                if (dataset, row.method) in spent and (value := number(row.cells[i])) is not None
            ]
            if len([p for p in points if p.x > 0]) > 1:
                title = f"{column.title}{f', {dataset}' if several else ''}"
                drawn = scatter(points, "FLOPs of training and teacher", True, True)
                figures.append(Figure(title, drawn))
    return figures


def taxes(less: TableView) -> list[Figure]:
    """What each method wins over the Student against what it loses in ability; `less`: both differences."""
    gains = _role(less, "gain")
    # Win rates against one reference compare more sharply than ratings do, so ratings are second choice.
    up = [i for i in gains if less.columns[i].unit == "share"] or gains
    figures, several = [], len(datasets(less)) > 1
    for i, across in product(up, _role(less, "cost")[:1]):
        for dataset, rows in datasets(less).items():
            differences = (_difference(row, across, i, less.columns) for row in rows)
            points = [p for p in differences if p and p.method not in (TEACHER, STUDENT)]
            if len(points) > 1:
                title = f"{less.columns[i].title} less Student{f', {dataset}' if several else ''}"
                drawn = scatter(points, f"{less.columns[across].title} less Student")
                figures.append(Figure(title, drawn, wide=True))
    return figures


def _role(table: TableView, role: str) -> list[int]:
    """The columns that are declared for a side of the figure."""
    return [i for i, c in enumerate(table.columns) if c.source and c.source.column.alignment_tax == role]


def _difference(row: RowView, across: int, up: int, columns: Sequence[Column]) -> Point | None:
    x, y = (spread(row.cells[i], columns[i]) for i in (across, up))
    if x is None or y is None:
        return None
    text = ", ".join(
        f"{columns[i].title} {row.cells[i].text.value} {row.cells[i].text.interval}" for i in (up, across)
    )
    return Point(row.method, x[0], y[0], f"{row.method}: {text}", (x[1:], y[1:]))
