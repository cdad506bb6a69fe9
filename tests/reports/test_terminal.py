"""What a terminal shows of a run first: rows in their order, a width that is kept, texts that come back."""

from pathlib import Path

import pytest

from reports.tables.table import Cell, Column, Row, Table
from reports.terminal import best_first, dumped, first_screen, loaded, text

HIGH = Column("a.score", "A", "score", best=True)
NAMES = ("Teacher", "Student", "DPO", "ADPA")


def table(*values: float | str | None, column: Column = HIGH) -> Table:
    rows = [
        Row("data", name, (Cell(v, notes=(f"of {name}",)),)) for name, v in zip(NAMES, values, strict=True)
    ]
    return Table("Results", (column,), tuple(rows))


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ((3.0, 1.0, None, 2.0), ("Teacher", "ADPA", "Student", "DPO")),
        ((0.0, -1.0, 0.0, "none"), ("Teacher", "DPO", "Student", "ADPA")),
        ((None, None, None, None), NAMES),
    ],
)
def test_the_highest_stands_first_and_what_has_no_number_last(
    values: tuple[float | str | None, ...], order: tuple[str, ...]
) -> None:
    assert tuple(row.method for row in best_first(table(*values)).rows) == order


def test_a_column_whose_highest_is_no_merit_orders_nothing() -> None:
    of_loss = table(3.0, 1.0, 2.0, 4.0, column=Column("a.loss", "Loss", "loss"))
    assert best_first(of_loss) == of_loss


def test_a_screen_comes_back_from_its_text_and_keeps_to_a_width() -> None:
    screen = first_screen(["ADPA leads. " * 30], {"main": [table(3.0, 1.0, 4.0, 2.0)], "cost": []})
    assert loaded(dumped(screen)) == screen
    for width in (60, 80, 140):
        *lines, rest = text(screen, [Path("runs/x")], width).splitlines()
        longest = max(map(len, lines))
        assert width - 12 <= longest <= width, "as wide as there is room"
        assert rest.endswith("bench report runs/x --table NAME: cost, all")
