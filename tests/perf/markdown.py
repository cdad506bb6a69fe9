"""Tables of the page."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    line = "| " + " | ".join(columns) + " |\n" + "|" + " --- |" * len(columns) + "\n"
    return line + "".join("| " + " | ".join(row) + " |\n" for row in rows)
