"""Run the pocket comparison with several base models and seeds, and write the tables of docs/pocket-study.md.

    python -m tests.pocket_study

takes hours on two cores, and goes on where it was stopped. Other options are those of `bench run`.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from reports import build
from reports.records import run_folder
from reports.records.groups import Groups, grouped
from reports.records.merge import merged
from reports.records.run_folder import Rows
from reports.render import to_markdown
from reports.tables import columns
from reports.tables.columns import MeasuredColumn, heading
from reports.tables.comparison import comparison_tables
from reports.tables.main import main_tables
from reports.tables.noise import noise_tables
from reports.tables.table import STUDENT
from tests.bench_command import COMMAND, ENV
from tests.harness.forecast.scale_page import put
from tests.pocket_study.single_runs import agreement, leaders

PAGE = Path("docs/pocket-study.md")
SUITE = DATASET = "pocket"
# Runs of ADPA+ beside those at its own settings, on the first base models alone: name -> what is set.
PLUS = {
    "as-it-is": "methods.ADPA+.gamma_beta=0.3",
    "nine-trials": "methods.ADPA+={gamma_beta: 0.1, training: {lr: 1e-3}}",
    "lr-1e-4": "methods.ADPA+.training.lr=1e-4",
    "support-20": "methods.ADPA+.support=20",
    "on-teacher-rollouts": "methods.ADPA+.states=teacher_rollout",
    "on-chosen": "methods.ADPA+.states=chosen",
    "on-rejected": "methods.ADPA+.states=rejected",
}


def computed(runs: Path, worlds: int, seeds: int, words: list[str]) -> None:
    """Every step that is missing."""
    of_seeds = f"seeds={list(range(seeds))}"
    _run(runs, f"name={SUITE}", f"world_seeds={list(range(worlds))}", of_seeds, words=words)
    for name, setting in PLUS.items():
        _run(runs, f"name={name}", of_seeds, setting, words=["--only", "ADPA+", *words])


def _run(runs: Path, *settings: str, words: list[str]) -> None:
    sets = [word for setting in settings for word in ("--set", setting)]
    env = {**ENV, "BENCH_EXECUTOR": "jobs"}
    subprocess.run([*COMMAND, "run", SUITE, "--runs", str(runs), *sets, *words], env=env, check=True)


def blocks(rows: Rows) -> dict[str, Iterator[str]]:
    """The tables of the page by their names."""
    groups = grouped(rows.records, rows.benchmarks)
    (names,) = rows.methods().values()
    shown = [c for c in columns.find(groups, groups.benchmarks) if c.source.column.best and not c.is_summary]
    return {
        "verdict": iter([build.verdict_markdown(build.verdict(rows)).rstrip()]),
        "main": iter([to_markdown(build.build(rows)["main"][0])]),
        "effects": _effects(groups, names),
        "noise": (to_markdown(t) for t in noise_tables(groups, rows.repeats, names)),
        "leaders": _leaders(shown, names),
        "tau": _agreements(shown, names),
    }


def of_plus(runs: Mapping[str, Rows]) -> Iterator[str]:
    """The rows of ADPA+ of several runs, by their names, as one table."""
    rows = merged(
        {
            name: Rows([r for r in run.records if r.method == "ADPA+"], benchmarks=run.benchmarks)
            for name, run in runs.items()
        }
    )
    groups = grouped(rows.records, rows.benchmarks)
    for table in main_tables(groups, list(dict.fromkeys(r.method for r in rows.records))):
        yield to_markdown(table)


def _effects(groups: Groups, names: list[str]) -> Iterator[str]:
    """Each method less the Student, on every column, and its group: the comparison's tables."""
    for table in comparison_tables(groups, names, STUDENT):
        yield to_markdown(table)


def _leaders(shown: list[MeasuredColumn], names: list[str]) -> Iterator[str]:
    heads = (
        "Column",
        "Leader of all runs",
        "Single runs that it leads",
        "whose leader no test tells from it",
    )
    yield f"| {' | '.join(heads)} | Order of pairs |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for column in shown:
        found = leaders(column, DATASET, names)
        kept = f"{found.order:.0%} of {found.pairs}" if found.pairs else "no pair is told apart"
        yield (
            f"| {heading(column, shown).title} | {found.best} | {found.same} of {found.runs} "
            f"| {found.not_worse} of {found.runs} | {kept} |"
        )


def _agreements(shown: list[MeasuredColumn], names: list[str]) -> Iterator[str]:
    yield "| Column | Kendall's tau, 95 % over base models | single runs | methods |"
    yield "| --- | ---: | ---: | ---: |"
    for column in shown:
        if found := agreement(column, DATASET, names):
            yield (
                f"| {heading(column, shown).title} | {found.tau:.2f} [{found.low:.2f}, {found.high:.2f}] "
                f"| {found.least:.2f} to {found.most:.2f} | {found.methods} |"
            )


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.pocket_study", description=__doc__)
    ask.add_argument("--runs", type=Path, default=Path("runs/study"), help="the folder of the store")
    ask.add_argument("--worlds", type=int, default=5)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--page", type=Path, default=PAGE)
    asked, words = ask.parse_known_args()
    computed(asked.runs, asked.worlds, asked.seeds, words)
    page = asked.page.read_text(encoding="utf-8")
    plus = of_plus({name: run_folder.read(asked.runs / name) for name in PLUS})
    for name, lines in (blocks(run_folder.read(asked.runs / SUITE)) | {"plus": plus}).items():
        page = put(page, name, lines)
    asked.page.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
