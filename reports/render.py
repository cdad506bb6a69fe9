"""Tables as text: terminal, Markdown, CSV, LaTeX. The only place that rounds, and that knows percent.

    | Method | My bench (n=80) |
    | --- | ---: |
    | Teacher | 6.82 [6.51, 7.12] |
    | ADPA | **6.25** [5.90, 6.60] |

Cells that a test marks (pairwise_tests.py) are bold (best) or underlined (second). CSV keeps all digits.
"""

import csv
import io
import re
from collections.abc import Callable
from textwrap import wrap
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from reports import escapes
from reports.records.benchmarks import Unit
from reports.tables.table import Cell, Mark, Table

NEGATIVE = re.compile(r"-\d[\d,]*\.?\d*(e-?\d+)?")
MISSING = "-"  # there is no result; a zero is a result
WIDTH = 80  # columns of a terminal
HEAD = 10  # columns of a head above stacked cells: as wide as most intervals
FORMATS: dict[Unit, Callable[[float], str]] = {
    "score": lambda x: f"{x:.2f}",
    "share": lambda x: f"{100 * x:.1f}",  # percent
    "nats": lambda x: f"{x:.2f}",
    "tokens": lambda x: f"{x:.1f}",
    "count": lambda x: f"{x:,.0f}" if x == int(x) else f"{x:,.1f}",
    "flops": lambda x: f"{x:.1e}".replace("e+0", "e").replace("e+", "e") if x else "0",
    "loss": lambda x: f"{x:.3f}",
    "seconds": lambda x: f"{x:.1f}",
    "usd": lambda x: f"{x:,.2f}",
    "p": lambda x: f"{x:.3f}" if x >= 0.001 else "<0.001",
    "rank": lambda x: f"{x:.1f}",
}
# The same three marks in each format; CSV, which programs read, has none.
MARKED_MARKDOWN: dict[Mark, str] = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
MARKED_LATEX: dict[Mark, str] = {"": "", "best": r"\textbf", "second": r"\underline"}
MARKED_TERMINAL: dict[Mark, str] = {"": "", "best": "bold", "second": "underline"}


class CellText(NamedTuple):
    """A cell as shown: its value, "[low, high]", "(n=78)" where n differs in the column, footnote numbers."""

    value: str
    interval: str = ""
    n: str = ""
    marks: str = ""
    stands: Mark = ""


class TableTexts(NamedTuple):
    """A table as shown: the dataset is a label only where there are several."""

    title: str
    labels: list[str]
    heads: list[str]
    rows: list[tuple[list[str], list[CellText]]]
    notes: list[str]
    footnotes: list[str]


def to_markdown(table: Table) -> str:
    """A pipe table under a heading, notes and numbered footnotes below."""
    page = shown(table)

    def cell(t: CellText) -> str:
        value = MARKED_MARKDOWN[t.stands].format(escapes.markdown(t.value))
        marks = f"<sup>{t.marks}</sup>" if t.marks else ""
        return " ".join(filter(None, (value, t.interval, t.n))) + marks

    heads = [escapes.markdown(h) for h in (*page.labels, *page.heads)]
    lines = [heads, ["---"] * len(page.labels) + ["---:"] * len(page.heads)]
    for labels, cells in page.rows:
        lines.append([escapes.markdown(label) for label in labels] + [cell(t) for t in cells])
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)

    notes = [f"- {escapes.markdown(note)}\n" for note in page.notes]
    numbered = [f"- <sup>{i}</sup> {escapes.markdown(note)}\n" for i, note in enumerate(page.footnotes, 1)]
    return f"### {escapes.markdown(table.title)}\n\n{body}\n{''.join(notes + numbered)}".rstrip("\n") + "\n"


def to_latex(table: Table) -> str:
    """A booktabs table with a caption, notes and numbered footnotes below; needs `\\usepackage{booktabs}`."""
    page = shown(table)

    def number(text: str) -> str:
        return f"${text}$" if NEGATIVE.fullmatch(text) else escapes.latex(text)

    def cell(t: CellText) -> str:
        command = MARKED_LATEX[t.stands]
        value = rf"{command}{{{number(t.value)}}}" if command else number(t.value)
        small = " ".join(filter(None, (t.interval, t.n)))
        marks = f"$^{{{t.marks}}}$" if t.marks else ""
        return value + (rf" {{\scriptsize ${small}$}}" if small else "") + marks

    lines = [[escapes.latex(h) for h in (*page.labels, *page.heads)]]
    for labels, cells in page.rows:
        lines.append([escapes.latex(label) for label in labels] + [cell(t) for t in cells])
    head, *body = (f"{' & '.join(line)} \\\\" for line in lines)

    numbered = [f"$^{{{i}}}$ {escapes.latex(note)}" for i, note in enumerate(page.footnotes, 1)]
    notes = [escapes.latex(note) for note in page.notes] + numbered
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escapes.latex(table.title)}}}",
            rf"\begin{{tabular}}{{{'l' * len(page.labels)}{'r' * len(page.heads)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par{{\footnotesize {note}}}" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def to_csv(table: Table) -> str:
    """One line a cell, in the unit of the records (shares 0-1) with all digits; empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("dataset", "method", "column", "value", "low", "high", "n", "note"))
    for row in table.rows:
        for column, c in zip(table.columns, row.cells, strict=True):
            texts = (
                row.dataset,
                row.method,
                column.name,
                c.value,
                c.low,
                c.high,
                c.n or "",
                "; ".join(c.notes),
            )
            writer.writerow(map(escapes.csv_cell, texts))
    return out.getvalue()


def to_terminal(table: Table | TableTexts, width: int = WIDTH, styled: bool = False) -> str:
    """Intervals beside their values where all columns fit so, else beneath; then blocks of columns that fit.

    `styled` adds the escape codes that make the best bold and underline the second.
    """
    page = table if isinstance(table, TableTexts) else shown(table)
    console = Console(
        file=io.StringIO(),
        width=10_000,  # we choose what fits; rich must not wrap numbers
        force_terminal=styled,
        color_system="standard" if styled else None,
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    columns = list(range(len(page.heads)))
    # One block of wide columns is easier to read across than several of narrow ones.
    beside = _rich(page, columns, stacked=False)
    if _width(beside, console) <= width:
        blocks = [beside]
    else:
        blocks = [_rich(page, block, stacked=True) for block in _blocks(page, columns, width, console)]

    with console.capture() as capture:
        console.print(escapes.row(page.title), markup=False, style="bold")
        for block in blocks:
            console.print(block)
            console.print()
        for line in (*page.notes, *(f"({i}) {note}" for i, note in enumerate(page.footnotes, 1))):
            console.print(line, markup=False, width=width)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _blocks(page: TableTexts, columns: list[int], width: int, console: Console) -> list[list[int]]:
    """The columns in as few runs as fit the width; a column too wide for it stands alone."""
    blocks: list[list[int]] = []
    labels, room = _width(_rich(page, [], stacked=True), console), 0
    for column in columns:
        takes = _width(_rich(page, [column], stacked=True), console) - labels
        if takes > room or not blocks:
            blocks.append([])
            room = width - labels
        blocks[-1].append(column)
        room -= takes
    return blocks


def _rich(page: TableTexts, columns: list[int], stacked: bool) -> RichTable:
    # Texts, not strings: rich would take "[5.90, 6.60]" for markup and drop it.
    out = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for label in page.labels:
        out.add_column(RichText(label))
    for column in columns:
        head = page.heads[column]
        if stacked:
            head = "\n".join(wrap(head, HEAD, break_long_words=False, break_on_hyphens=False))
        out.add_column(RichText(head), justify="right")
    for labels, cells in page.rows:
        shown = [RichText(label) for label in labels]
        for t in (cells[column] for column in columns):
            marked = t.value + (f" ({t.marks})" if t.marks else "")
            text = RichText.assemble((marked, MARKED_TERMINAL[t.stands]))
            shown.append(text.append(("\n" if stacked else " ").join(["", *filter(None, (t.interval, t.n))])))
        out.add_row(*shown)
    return out


def _width(block: RichTable, console: Console) -> int:
    return console.measure(block).maximum


def shown(table: Table) -> TableTexts:
    """A table's texts, the same for every format; what would act in a terminal acts in none."""
    several = len({row.dataset for row in table.rows}) > 1
    counts = [{row.cells[i].n for row in table.rows} - {0} for i in range(len(table.columns))]
    heads = [
        escapes.row(f"{column.title} (n={_n(*count)})" if len(count) == 1 else column.title)
        for column, count in zip(table.columns, counts, strict=True)
    ]
    footnotes: dict[str, int] = {}
    rows: list[tuple[list[str], list[CellText]]] = []
    for row in table.rows:
        rows.append(([escapes.row(name) for name in [row.dataset] * several + [row.method]], []))
        for i, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            marks = ",".join(str(footnotes.setdefault(note, len(footnotes) + 1)) for note in cell.notes)
            # A count that all cells of a column share stands in its head.
            n = f"(n={_n(cell.n)})" if cell.n and len(counts[i]) > 1 else ""
            rows[-1][1].append(
                CellText(_shown(cell, column.unit), _interval(cell, column.unit), n, marks, cell.mark)
            )
    notes, numbered = ([escapes.row(note) for note in told] for told in (table.notes, footnotes))
    labels = ["Dataset"] * several + [table.rows_are]
    return TableTexts(table.title, labels, heads, rows, notes, numbered)


def _shown(cell: Cell, unit: Unit) -> str:
    if cell.value is None:
        return MISSING
    return escapes.row(cell.value) if isinstance(cell.value, str) else number(cell.value, unit)


def _interval(cell: Cell, unit: Unit) -> str:
    if cell.low is None or cell.high is None:
        return ""
    return f"[{number(cell.low, unit)}, {number(cell.high, unit)}]"


def number(value: float, unit: Unit) -> str:
    """A value in the unit of its column, shares as percent."""
    text = FORMATS[unit](value)
    return text.lstrip("-") if not text.strip("-0.") else text  # no minus before a rounded zero


def _n(n: int) -> str:
    return f"{n:,}"
