"""A run as its rows: read from its folder, and made into every table in every format.

    runs/pocket/benchmarks.json                   what the run's benchmarks are
    runs/pocket/results.jsonl  summaries.jsonl  judging.jsonl  judges.jsonl  costs.jsonl  training.jsonl
    runs/pocket/curves.jsonl                      what trainings logged, where the run kept it
    runs/pocket/repeats.jsonl                     verdicts that were asked for again, where there are any
    runs/pocket/texts.jsonl  steps.jsonl          what was asked and said, and the steps: for the page alone
    runs/pocket/tables/main.md  main.csv  main.tex  ...
    runs/pocket/tables/verdict.md                 what they say, in words

Tables are a function of the rows alone: the same rows give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from reports import escapes
from reports.records import jsonl
from reports.records.groups import Groups, Lender, grouped
from reports.records.run_folder import Rows
from reports.render import to_csv, to_latex, to_markdown
from reports.tables.ablation import ablation_tables
from reports.tables.benchmark_summaries import summary_tables
from reports.tables.beside_paper import beside_tables
from reports.tables.comparison import comparison_tables
from reports.tables.cost import cost_tables
from reports.tables.data_quality import quality_tables
from reports.tables.direction import direction_tables
from reports.tables.health import with_health
from reports.tables.judge_noise import judge_noise_tables
from reports.tables.judge_quality import judge_tables
from reports.tables.judging_cost import judging_tables
from reports.tables.main import main_tables
from reports.tables.noise import noise_tables
from reports.tables.pad import pad_tables
from reports.tables.table import STUDENT, Table, check_row
from reports.tables.training import training_tables
from reports.verdict import words
from reports.verdict.evidence import verdicts

VERDICT = "verdict"  # of which there are words alone
FORMATS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


class Pair(NamedTuple):
    """The rows of one pair, and its records in groups, which all tables share; `names` are its methods."""

    name: str
    names: list[str]
    rows: Rows
    groups: Groups


@dataclass(frozen=True)
class Paired:
    """A run's rows, and those of each pair; what they add up to is added up once, whoever asks."""

    rows: Rows
    pairs: list[Pair]

    @property
    def by_name(self) -> list[Pair]:
        """The pairs in the order of their names."""
        return sorted(self.pairs, key=lambda pair: pair.name)

    @cached_property
    def tables(self) -> list[tuple[str, dict[str, list[Table]]]]:
        """Each pair's name and tables by name, those without anything to show as empty lists."""
        return [(pair.name, _of_pair(pair)) for pair in self.by_name]

    @cached_property
    def verdict(self) -> list[str]:
        """What the tests say in words, a paragraph for each pair and dataset."""
        return words.paragraphs([v for p in self.by_name for v in verdicts(p.rows, p.groups, p.names)])


Run = Rows | Paired  # what tables are made of; those that share the pairs add up once


def paired(run: Run) -> Paired:
    """The rows of each pair, in the order in which they were written; what is paired stays as it is."""
    if isinstance(run, Paired):
        return run
    found = []
    for name, names in run.methods().items():
        own = run.of_pair(name)
        found.append(Pair(name, names, own, grouped(own.records, run.benchmarks, run.lender)))
    return Paired(run, found)


def build(run: Run) -> dict[str, list[Table]]:
    """Every table of a run that has something to show, by name."""
    known = paired(run)
    built: dict[str, list[Table]] = {}
    for _, of_pair in known.tables:
        for name, tables in of_pair.items():
            built.setdefault(name, []).extend(tables)
    built["judges"] = judges(known.rows)
    return {name: tables for name, tables in built.items() if tables}


def _of_pair(pair: Pair) -> dict[str, list[Table]]:
    _, names, own, groups = pair
    trained = {t.method for t in own.training}
    main = main_tables(groups, names, summaries=own.summaries, checks=own.checks)
    parts = {
        "main": main,
        "pad": pad_tables(main),
        "ablation": ablation_tables(groups, names),
        "comparison": comparison_tables(groups, names, _baseline(names)) if names[1:] else [],
        "direction": direction_tables(groups, own.training, names),
        "cost": cost_tables(own.costs, names),
        "judging": judging_tables(own.judging, names),
        "judge_noise": judge_noise_tables(own.repeats, groups),
        "training": training_tables(own.training, [m for m in names if m in trained]),
        "summaries": summary_tables(own.summaries, names, own.benchmarks),
        "quality": quality_tables(groups, own.costs, names, own.judging),
    }
    return {name: with_health(tables, own.counts, groups) for name, tables in parts.items()}


def verdict(run: Run) -> list[str]:
    """What the tests of a run say in words, a paragraph for each pair and dataset."""
    return paired(run).verdict


def judges(rows: Rows) -> list[Table]:
    """How good the judges of all pairs are."""
    tables = judge_tables(rows.checks)
    # The line under them adds up all records, which a run without checked judges need not do here.
    return with_health(tables, rows.counts, grouped(rows.records, rows.benchmarks)) if tables else []


def _baseline(methods: Sequence[str]) -> str:
    """Whom a run's own comparison is with: the Student, else SFT, else the first row."""
    return next((m for m in (STUDENT, "SFT") if m in methods), methods[0])


def beside(run: Run) -> list[Table]:
    """The paper's numbers beside a run's."""
    tables = []
    for _, names, own, groups in paired(run).pairs:
        tables += with_health(beside_tables(groups, names), own.counts, groups)
    return tables


def compared(rows: Rows, baseline: str) -> list[Table]:
    """Every method against `baseline`, benchmark by benchmark; ValueError where no pair has that row."""
    pairs = paired(rows).pairs
    check_row(baseline, list(dict.fromkeys(m for pair in pairs for m in pair.names)))
    tables = []
    for _, names, own, groups in pairs:
        if baseline in names:
            tables += with_health(comparison_tables(groups, names, baseline), own.counts, groups)
    return tables


def borrowing(rows: Rows, run: str, lender: Rows) -> Rows:
    """A run's rows, whose chance of training is taken from another where it has one run a method; ValueError
    where that has no replicates either.
    """
    # Rows without a data set were measured as they are.
    groups = grouped([r for r in lender.records if r.dataset], lender.benchmarks)
    if not any(g.is_replicated for g in groups):
        raise ValueError(f"{run}: no method of it was trained more than once, so it has no noise to lend")
    return rows._replace(lender=Lender(run, groups))


def noise(rows: Rows, difference: float | None = None) -> list[Table]:
    """What each benchmark's numbers vary by, and what more questions or replicates would buy; `difference`,
    in the unit that is printed, is what replicates are to find.
    """
    tables = []
    for _, names, own, groups in paired(rows).pairs:
        tables += with_health(noise_tables(groups, own.repeats, names, difference), own.counts, groups)
    return tables


def write_tables(tables: Mapping[str, Sequence[Table]], folder: Path, told: Sequence[str] = ()) -> list[str]:
    """Write every table in every format, and the verdict's paragraphs; returns the files' names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in tables.items():
        for ending, render in FORMATS.items():
            jsonl.replace(folder / f"{name}.{ending}", "\n".join(render(part) for part in parts))
    names = [f"{name}.{ending}" for name in tables for ending in FORMATS]
    if told:
        jsonl.replace(folder / f"{VERDICT}.md", verdict_markdown(told))
        names.append(f"{VERDICT}.md")
    return names


def verdict_markdown(told: Sequence[str]) -> str:
    """A verdict's lines as paragraphs of Markdown, which knows no lines."""
    lines = (line for paragraph in told for line in paragraph.split("\n"))
    return "\n\n".join(map(escapes.markdown, lines)) + "\n"
