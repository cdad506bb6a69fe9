"""What tests of tables read off them."""

from collections.abc import Sequence

from reports.tables.table import Cell, Table


def only(tables: Sequence[Table]) -> Table:
    """The single table."""
    (table,) = tables
    return table


def cells(table: Table, title: str) -> dict[str, Cell]:
    """The cells of the column of that title, by method."""
    (i,) = (i for i, c in enumerate(table.columns) if c.title == title)
    return {row.method: row.cells[i] for row in table.rows}
