"""Every method's value in a column with its interval, the highest first."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from reports.page.figures import vega
from reports.page.figures.figure import ROW, Figure, datasets, kind, spread
from reports.page.table_views import RowView, TableView
from reports.tables.table import Column

WIDTH, STEP = 380, 25  # px: of a drawing beside its table, and of a method's line there


def forests(table: TableView, width: int = vega.WIDTH, step: int = ROW) -> list[Figure]:
    """A panel for each column: every method's value with its interval, the Student's as a line."""
    several = len(datasets(table)) > 1
    return [
        Figure(column.title + (f", {dataset}" if several else ""), drawn, column=column.name)
        for i, column in enumerate(table.columns)
        for dataset, rows in datasets(table).items()
        if (drawn := _forest(rows, i, column, width, step))
    ]


def _forest(rows: Sequence[RowView], i: int, column: Column, width: int, step: int) -> Markup | None:
    values = marks(rows, i, column)
    return vega.svg(spec(values, step), width) if values else None


def marks(rows: Sequence[RowView], i: int, column: Column) -> list[dict[str, Any]]:
    """What is drawn of the rows of a column, the highest value first, on the axis's scale."""
    values: list[dict[str, Any]] = []
    for row in rows:
        if numbers := spread(row.cells[i], column):
            text = row.cells[i].text
            label = f"{row.method}: {text.value} {text.interval}".strip()
            one = {"method": row.method, "kind": kind(row.method), "label": label}
            values.append(one | dict(zip(("value", "low", "high"), numbers, strict=True)))
    return sorted(values, key=lambda v: -v["value"])


def spec(values: Sequence[dict[str, Any]], step: int = ROW) -> vega.Spec:
    """A line for each of `values`, in their order."""
    y, said = vega.names("method", [v["method"] for v in values]), vega.LABEL
    value, low = vega.quantity("value"), vega.quantity("low")
    student = vega.data(v for v in values if v["kind"] == "student")
    dashes = {"type": "rule", "strokeDash": [3, 3], "aria": False}
    layers = [
        # Drawn first, so that it lies under the marks.
        student | vega.layer(dashes, x=value, color={"value": vega.STUDENT_INK}),
        vega.layer(vega.WHISKER, y=y, x=low, x2={"field": "high"}, color=vega.inks(), description=said),
        vega.layer(vega.POINT, y=y, x=value, color=vega.inks(), description=said),
    ]
    return vega.data(values) | {"height": {"step": step}, "layer": layers}
