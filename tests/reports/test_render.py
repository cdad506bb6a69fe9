"""Tables as text. To renew the golden files, and read the change: `python -m tests.reports.test_render`."""

import csv
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reports.records.rows import Record
from reports.render import to_csv, to_latex, to_markdown, to_terminal
from reports.tables.main import main_tables
from reports.tables.table import Cell, Column, Mark, Row, Table
from tests.paths import GOLDEN

WRITERS = {"md": to_markdown, "csv": to_csv, "tex": to_latex, "txt": to_terminal}
METHODS = ["Teacher", "Student", "DPO_50%", "ADPA & Co", "SimPO"]
WHY = "not run: no answers of the reference ADPA & Co"


def records() -> list[Record]:
    """Four questions, five methods: the teacher best, two tied behind it, one judgment lost, one not run."""
    blank = Record("pocket", "7B>1B", "ultra", "", 0, "mt-bench", "score", "", "", 1, "", "rule", "", 0.0)
    ratings = {
        "Teacher": (9, 10, 8, 9),
        "Student": (2, 3, 1, 2),
        "DPO_50%": (6, 7, 5, 6),
        "ADPA & Co": (5, 6, 6, 7),
    }
    found = []
    for method, values in ratings.items():
        for question, value in enumerate(values):
            one = replace(blank, method=method, question=str(question))
            found += [replace(one, turn=t, value=float(value)) for t in (1, 2)]
            pair = replace(one, benchmark="alpaca-eval", metric="win_rate", reference="ADPA & Co")
            wins = 0.5 if method == "ADPA & Co" else float(value > 5)
            found += [replace(pair, order=order, value=wins) for order in ("ab", "ba")]
            reward = replace(one, benchmark="teacher-reward", metric="reward", judge="")
            found.append(replace(reward, value=value / 4 - 1.5))
    lost = next(
        i for i, r in enumerate(found) if (r.method, r.benchmark, r.turn) == ("Student", "mt-bench", 2)
    )
    found[lost] = replace(found[lost], value=None, status="unparsed")
    not_run = replace(blank, method="SimPO", benchmark="alpaca-eval", metric="win_rate", judge="")
    return [*found, replace(not_run, value=None, status=WHY)]


def text(ending: str, rows: list[Record]) -> str:
    (table,) = main_tables(rows, METHODS)
    return WRITERS[ending](table)


def one_column(
    values: dict[str, float | None], unit: str = "score", marks: Mapping[str, Mark] | None = None
) -> Table:
    rows = tuple(Row("d", m, (Cell(value, mark=(marks or {}).get(m, "")),)) for m, value in values.items())
    return Table("t", (Column("c", "C", unit),), rows)


@pytest.mark.parametrize("ending", WRITERS)
def test_the_main_table_reads_as_its_golden_file(ending: str):
    assert text(ending, records()) == (GOLDEN / f"main_table.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", WRITERS)
def test_shuffled_records_give_the_same_bytes(ending: str):
    rows, expected = records(), text(ending, records())
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        assert text(ending, rows) == expected


def test_marks_are_bold_and_underlined_in_every_format():
    table = one_column({"DPO": -5.0, "SFT": -6.0, "KD": -7.0}, marks={"DPO": "best", "SFT": "second"})
    assert [line.split(" | ")[1] for line in to_markdown(table).splitlines()[4:7]] == [
        "**-5.00** |", "<u>-6.00</u> |", "-7.00 |",
    ]  # fmt: skip
    assert r"DPO & \textbf{$-5.00$} \\" in to_latex(table) and r"SFT & \underline{$-6.00$} \\" in to_latex(
        table
    )
    styled = to_terminal(table, styled=True)
    assert "\x1b[1m-5.00" in styled and "\x1b[4m-6.00" in styled and "\x1b[4m-7" not in styled


def test_datasets_are_named_only_among_several():
    rows = tuple(
        Row(d, m, (Cell(v),)) for d, m, v in [("x", "DPO", 1.0), ("x", "SFT", 2.0), ("y", "DPO", 0.5)]
    )
    table = Table("t", (Column("c", "C", "score", best=True),), rows)
    lines = to_markdown(table).splitlines()
    assert lines[2] == "| Dataset | Method | C |"
    assert lines[5:7] == ["| x | SFT | 2.00 |", "| y | DPO | 0.50 |"]
    assert to_markdown(replace(table, rows=rows[:2])).splitlines()[2] == "| Method | C |"


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (apt-get install texlive-latex-base)"
)
def test_latex_compiles(tmp_path: Path):
    """Marks, footnotes, signs and what is special, in one document with the packages that are asked for."""
    special = one_column({r"[a] 50% & my_model #1 {x} ~ ^ $ \ <>": -1.0, "DPO": 2.0}, marks={"DPO": "best"})
    parts = [text("tex", records()), to_latex(special), to_latex(wide(5))]
    body = "\n".join(parts)
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "t.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("score", 6.125, "6.12"), ("share", 0.4567, "45.7"), ("nats", -0.001, "0.00"),
        ("tokens", 21.25, "21.2"),
        ("count", 204800.0, "204,800"), ("count", 1.5, "1.5"), ("flops", 1.234e12, "1.2e12"),
        ("flops", 0.0, "0"),
        ("flops", 12345.0, "1.2e4"), ("seconds", 41.24, "41.2"), ("text", "cpu", "cpu"), ("share", None, "-"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_by_their_unit(unit: str, value: float | str | None, shown: str):
    table = one_column({"DPO": value}, unit)
    assert to_markdown(table).splitlines()[4] == f"| DPO | {shown} |"


def test_a_count_that_differs_stands_in_its_cell():
    rows = (Row("d", "DPO", (Cell(5.0, n=80),)), Row("d", "SFT", (Cell(4.0, n=1078),)))
    lines = to_markdown(Table("t", (Column("c", "C", "score"),), rows)).splitlines()
    assert lines[2] == "| Method | C |"
    assert lines[4:6] == ["| DPO | 5.00 (n=80) |", "| SFT | 4.00 (n=1,078) |"]


def test_footnotes_are_numbered_as_they_first_appear_and_shared():
    rows = tuple(
        Row("d", m, (Cell(notes=notes),)) for m, notes in [("A", ("x",)), ("B", ("y", "x")), ("C", ("y",))]
    )
    lines = to_markdown(Table("t", (Column("c", "C", "score"),), rows)).splitlines()
    assert lines[4:7] == ["| A | -<sup>1</sup> |", "| B | -<sup>2,1</sup> |", "| C | -<sup>2</sup> |"]
    assert lines[-2:] == ["- <sup>1</sup> x", "- <sup>2</sup> y"]


def test_latex_escapes_what_is_special():
    name = r"[a] 50% & my_model #1 {x} ~ ^ $ \ <>"
    latex = to_latex(one_column({name: -1.0}, "nats"))
    escaped = (
        r"{[}a] 50\% \& my\_model \#1 \{x\} \textasciitilde{} \textasciicircum{} \$ \textbackslash{} "
        r"\textless{}\textgreater{}"
    )
    assert rf"{escaped} & $-1.00$ \\" in latex.splitlines()


def test_markdown_escapes_what_is_special():
    lines = to_markdown(one_column({"a|b_c*<d>": 1.0})).splitlines()
    assert lines[4] == r"| a\|b\_c\*\<d> | 1.00 |"


def test_csv_keeps_all_digits_and_the_unit_of_the_records():
    row = Row("d", 'a, "b"', (Cell(1 / 3, 0.1, 2 / 3, 80, ("x", "y")), Cell()))
    table = Table("t", (Column("wr", "WR (%)", "share"), Column("rs", "RS", "score")), (row,))
    found = list(csv.DictReader(to_csv(table).splitlines()))
    assert [float(found[0][k]) for k in ("value", "low", "high", "n")] == [1 / 3, 0.1, 2 / 3, 80]
    assert (found[0]["method"], found[0]["column"], found[0]["note"]) == ('a, "b"', "wr", "x; y")
    assert [found[1][k] for k in ("value", "low", "high", "n")] == [""] * 4


def wide(columns: int) -> Table:
    cells = tuple(Cell(5.0, 4.0, 6.0, 80) for _ in range(columns))
    heads = tuple(Column(f"c{i}", f"Benchmark {i}", "score") for i in range(columns))
    return Table("t [bold]", heads, (Row("d", "ADPA[release]", cells),), ("a note " * 30,))


@pytest.mark.parametrize("columns", [1, 3, 5, 9])
def test_a_terminal_table_fits_80_columns(columns: int):
    lines = to_terminal(wide(columns)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "\n".join(lines).count("[4.00, 6.00]") == columns
    assert lines[0] == "t [bold]" and any(line.startswith("ADPA[release]") for line in lines)


def test_a_terminal_table_has_intervals_beside_values_where_they_fit():
    assert "5.00 [4.00, 6.00]" in to_terminal(wide(2))
    assert "5.00 [4.00, 6.00]" not in to_terminal(wide(5))
    assert "5.00 [4.00, 6.00]" in to_terminal(wide(5), width=200)


def test_a_terminal_table_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch):
    plain = to_terminal(wide(5))
    for name, value in {"COLUMNS": "20", "FORCE_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert to_terminal(wide(5)) == plain
    assert "\x1b[1m" in to_terminal(wide(5), styled=True) and "\x1b" not in plain


if __name__ == "__main__":
    for ending in WRITERS:
        (GOLDEN / f"main_table.{ending}").write_text(text(ending, records()), encoding="utf-8")
