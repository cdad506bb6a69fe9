"""What figures have in common. Every figure is SVG with text as text; a mark's name and numbers are its
aria-label.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from reports.page.table_views import CellView, RowView, TableView
from reports.tables.table import STUDENT, TEACHER, Column

ROW = 19  # px of a method's line
HUNDRED = 100


class Figure(NamedTuple):
    """A drawing with its title, and a line that says how to read it; `column` is the one that it shows,
    `axes` are the ends of both axes, `high` px apart upwards, where the page tells numbers from places; one
    that is `wide` has two columns of the page.
    """

    title: str
    svg: Markup
    note: str = ""
    column: str = ""
    axes: str = ""
    high: int = 0
    wide: bool = False


def kind(method: str) -> str:
    """What a row is: the teacher, the student it all starts from, or a method."""
    return {TEACHER: "teacher", STUDENT: "student"}.get(method, "method")


def scale(column: Column) -> int:
    """Shares are shown in percent."""
    return HUNDRED if column.unit == "share" else 1


def number(view: CellView) -> float | None:
    return float(view.cell.value) if isinstance(view.cell.value, float | int) else None


def spread(view: CellView, column: Column) -> tuple[float, float, float] | None:
    """A cell's value on the axis and the ends of its interval; where it has none, they are the value."""
    if (value := number(view)) is None:
        return None
    low, high = (value if v is None else v for v in (view.cell.low, view.cell.high))
    return scale(column) * value, scale(column) * low, scale(column) * high


def domain(values: Sequence[float]) -> list[float]:
    """The span of the values with some room."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or abs(high) or 1.0
    return [low - room, high + room]


def datasets(table: TableView) -> dict[str, list[RowView]]:
    """The rows of each dataset of a table."""
    by_dataset: dict[str, list[RowView]] = {}
    for row in table.rows:
        by_dataset.setdefault(row.dataset, []).append(row)
    return by_dataset
