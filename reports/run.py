"""A run as its rows: read from its folder, and made into every table in every format.

    runs/pocket/results.jsonl  summaries.jsonl  judging.jsonl  judges.jsonl  costs.jsonl  training.jsonl
    runs/pocket/texts.jsonl  steps.jsonl          what was asked and said, and the steps: for the page alone
    runs/pocket/tables/main.md  main.csv  main.tex  ...

Tables are a function of the rows alone: the same rows give the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reports import jsonl
from reports.ablation_tables import ablation_tables
from reports.beside_table import beside_tables
from reports.comparison_table import comparison_tables
from reports.cost_table import cost_tables
from reports.direction_table import direction_tables
from reports.groups import grouped
from reports.judge_table import judge_tables
from reports.judging_table import judging_tables
from reports.main_table import main_tables
from reports.pad_table import pad_tables
from reports.quality_table import quality_tables
from reports.records import Cost, JudgeCheck, Judging, Record, Summary, Training
from reports.render import to_csv, to_latex, to_markdown
from reports.summary_tables import summary_tables
from reports.table import STUDENT, Table, check_row
from reports.training_table import training_tables

FORMATS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}
WIDE = ("comparison", "summaries")  # every test and every number of every benchmark: for files, not to print


class Rows(NamedTuple):
    """All rows that a run's tables read."""

    measured: Sequence[Record] = ()
    summed: Sequence[Summary] = ()
    judging: Sequence[Judging] = ()
    paid: Sequence[Cost] = ()
    trained: Sequence[Training] = ()
    checks: Sequence[JudgeCheck] = ()

    def of(self, pair: str) -> "Rows":
        """The rows of one pair."""
        return Rows(
            measured=[r for r in self.measured if r.pair == pair],
            summed=[r for r in self.summed if r.pair == pair],
            judging=[r for r in self.judging if r.pair == pair],
            paid=[r for r in self.paid if r.pair == pair],
            trained=[r for r in self.trained if r.pair == pair],
            checks=self.checks,
        )

    def methods(self) -> dict[str, list[str]]:
        """Pair -> its rows, in the order in which they were written."""
        found: dict[str, list[str]] = {}
        every: list[Cost | Record | Judging] = [*self.paid, *self.measured, *self.judging]
        for r in every:
            found.setdefault(r.pair, []).append(r.method)
        return {pair: list(dict.fromkeys(names)) for pair, names in found.items()}


def read(folder: Path) -> Rows:
    """The rows of a run's folder; ValueError where it is none, or where a line is no row."""
    if not (folder / "results.jsonl").is_file():
        raise ValueError(f"{folder}: no run, it has no results.jsonl")
    return Rows(
        measured=jsonl.read(folder / "results.jsonl", Record),
        summed=jsonl.read(folder / "summaries.jsonl", Summary),
        judging=jsonl.read(folder / "judging.jsonl", Judging),
        paid=jsonl.read(folder / "costs.jsonl", Cost),
        trained=jsonl.read(folder / "training.jsonl", Training),
        checks=jsonl.read(folder / "judges.jsonl", JudgeCheck),
    )


def write(rows: Rows, folder: Path) -> bool:
    """Write every kind of row into a file of its own; returns whether any of them is another now."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = [
        jsonl.write(rows.measured, folder / "results.jsonl"),
        jsonl.write(rows.summed, folder / "summaries.jsonl"),
        jsonl.write(rows.judging, folder / "judging.jsonl"),
        jsonl.write(rows.checks, folder / "judges.jsonl"),
        jsonl.write(rows.paid, folder / "costs.jsonl"),
        jsonl.write(rows.trained, folder / "training.jsonl"),
    ]
    return any(changed)


def build(rows: Rows, wide: bool = True) -> dict[str, list[Table]]:
    """Every table of a run that has something to show, by name; not `wide`: without those."""
    built: dict[str, list[Table]] = {}
    for pair, names in sorted(rows.methods().items()):
        own = rows.of(pair)
        trained = {t.method for t in own.trained}
        groups = grouped(own.measured)
        main = main_tables(groups, names, summaries=own.summed, checks=own.checks)
        found = {
            "main": main,
            "pad": pad_tables(main),
            "ablation": ablation_tables(groups, names),
            "comparison": comparison_tables(groups, names, _baseline(names)) if wide and names[1:] else [],
            "direction": direction_tables(groups, own.trained, names),
            "cost": cost_tables(own.paid, names),
            "judging": judging_tables(own.judging, names),
            "training": training_tables(own.trained, [m for m in names if m in trained]),
            "summaries": summary_tables(own.summed, names) if wide else [],
            "quality": quality_tables(groups, own.paid, names, own.judging),
        }
        for name, tables in found.items():
            built.setdefault(name, []).extend(tables)
    built["judges"] = judge_tables(rows.checks)
    return {name: tables for name, tables in built.items() if tables}


def _baseline(methods: Sequence[str]) -> str:
    """Whom a run's own comparison is with: the Student, else SFT, else the first row."""
    return next((m for m in (STUDENT, "SFT") if m in methods), methods[0])


def beside(rows: Rows) -> list[Table]:
    """The paper's numbers beside a run's."""
    methods = rows.methods().items()
    return [t for pair, names in methods for t in beside_tables(rows.of(pair).measured, names)]


def compared(rows: Rows, baseline: str) -> list[Table]:
    """Every method against `baseline`, benchmark by benchmark; ValueError where no pair has that row."""
    methods = rows.methods()
    check_row(baseline, list(dict.fromkeys(m for names in methods.values() for m in names)))
    found = {pair: names for pair, names in methods.items() if baseline in names}
    return [
        table
        for pair, names in found.items()
        for table in comparison_tables(rows.of(pair).measured, names, baseline)
    ]


def write_tables(tables: Mapping[str, Sequence[Table]], folder: Path) -> None:
    """Write every table in every format; those of an earlier run that this one has not are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in tables.items():
        for ending, render in FORMATS.items():
            jsonl.replace(folder / f"{name}.{ending}", "\n".join(render(part) for part in parts))
    for path in folder.iterdir():
        if path.stem not in tables:
            path.unlink()
