"""Tables for programs: the JSON of `--json`, with all digits and shares 0-1."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reports.tables.table import Cell, Table


def tables_json(tables: Mapping[str, Sequence[Table]], **told: Any) -> str:
    """Tables by name, after what is told beside them."""
    return json.dumps(
        {**told, "tables": {name: list(map(_table, parts)) for name, parts in tables.items()}}, indent=1
    )


def _table(table: Table) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return {
        "title": table.title,
        "columns": [
            {"name": c.name, "title": c.title, "unit": c.unit, "best": c.best} for c in table.columns
        ],
        "rows": [
            {
                **({"dataset": row.dataset} if row.dataset else {}),
                "name": row.method,
                "cells": dict(zip(names, map(_cell, row.cells), strict=True)),
            }
            for row in table.rows
        ],
        "notes": list(table.notes),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    """What a cell holds; but for its value, what it has not is left out."""
    rest = {"low": cell.low, "high": cell.high, "n": cell.n or None, "mark": cell.mark or None}
    told = {name: value for name, value in rest.items() if value is not None}
    return {"value": cell.value, **told} | ({"notes": list(cell.notes)} if cell.notes else {})
