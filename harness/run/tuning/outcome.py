"""What came of a search: a table, all trials as CSV, the best as a suite that `bench run` takes, and JSON.

    method,lr,setting,value,rule_score,n,truncated,best,seeds,lost,status
    DPO,3e-05,beta,0.1,7.1250,400,0,yes,0,0,ok
    DCKD,0.008,alpha support,10.0 50.0,,0,0,,0,0,failed: ...

`setting` and `value` name what was tried beside the learning rate, with spaces between where it is several.
"""

import csv
import io
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.common.files import replace
from harness.common.text import printed
from harness.run.tuning.trials import Trial, ranked
from harness.run.tuning.validation_questions import Validation
from harness.suite.schema import Suite
from harness.suite.tuning import search
from harness.suite.tuning.search import LR, Settings, Values
from harness.suite.tuning.section import TRIALS

COLUMNS = ("method", LR, "setting", "value", "n", "truncated", "best", "seeds", "lost", "status")
BEST = "best.yaml"


@dataclass(frozen=True)
class Outcome:
    """All trials of a suite's methods by method, in the order of the table.

    `named` is the suite as it was typed in `command`, `score` a benchmark and metric, `suite` has the best
    settings; `flops` are those of a method's trials, None where nobody can say; `files` are options that name
    files of one's own.
    """

    command: str
    named: str
    suite: Suite
    score: tuple[str, str]
    validation: Validation
    values: Mapping[str, Values]
    trials: Mapping[str, Sequence[Trial]]
    flops: Mapping[str, float | None]
    seeds: Sequence[int]
    files: Sequence[str] = ()

    def ranked(self, method: str) -> list[Trial]:
        """The trials of a method with a score, the best first."""
        return ranked(self.trials[method])

    def best(self, method: str) -> Trial | None:
        """The best trial, if any has a score."""
        return next(iter(self.ranked(method)), None)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "suite": self.suite.name,
            "command": self.command,
            "score": {"benchmark": self.score[0], "metric": self.score[1]},
            "validation": vars(self.validation),
            "seeds": list(self.seeds),
            "methods": [self._method(name) for name in self.trials],
            "trials": [t._asdict() for own in self.trials.values() for t in own],
        }

    def _method(self, name: str) -> dict[str, Any]:
        ranked, trials = self.ranked(name), self.trials[name]
        scores, tried = [t.score for t in ranked], [t.settings for t in trials]
        best = ranked[0] if ranked else None
        return {
            "method": name,
            "trials": len(trials),
            "failed": len(trials) - len(ranked),
            "best": dict(best.settings) if best else None,
            "score": best.score if best else None,
            "next_best": scores[1] if len(scores) > 1 else None,
            "worst": scores[-1] if scores else None,
            "tied": scores.count(scores[0]) - 1 if scores else 0,
            "at_an_end": search.ends(self.values[name], tried, best.settings) if best else {},
            "flops": self.flops[name],
        }


def csv_text(outcome: Outcome) -> str:
    """All trials, a line each."""
    text, (benchmark, metric) = io.StringIO(), outcome.score
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS[:4], f"{benchmark}_{metric}", *COLUMNS[4:]])
    seeds = " ".join(map(str, outcome.seeds))
    for method, trials in outcome.trials.items():
        best = outcome.best(method)
        for t in trials:
            others = {k: v for k, v in t.settings.items() if k != LR}
            setting, value = " ".join(others), " ".join(map(str, others.values()))
            score = "" if t.score is None else f"{t.score:.4f}"
            told = (t.n, t.truncated, "yes" if t is best else "", seeds, t.lost, printed(t.status))
            table.writerow((method, t.settings.get(LR, ""), setting, value, score, *told))
    return text.getvalue()


def best_suite(outcome: Outcome, folder: Path) -> str:
    """The best settings as a suite that extends the one that was tuned."""
    suite = outcome.suite
    # A suite that ships is found by its name from everywhere; a file from where this one lies.
    is_file = outcome.named.endswith((".yaml", ".yml"))
    extends = os.path.relpath(Path(outcome.named).resolve(), folder.resolve()) if is_file else outcome.named
    methods = {m: dict(suite.methods.get(m) or {}) for m in outcome.trials if outcome.best(m)}
    keys = {"extends": extends, "name": f"{suite.name}-tuned", "tuned": str(folder), "methods": methods}
    text = io.StringIO()
    YAML(pure=True).dump(keys, text)
    benchmark, metric = outcome.score
    counts = sorted({len(trials) for trials in outcome.trials.values()})
    head = [
        f"The best trial of each method, of {' or '.join(map(str, counts))} each: {outcome.command}",
        f"Scored by {benchmark} ({metric}) on {outcome.validation.questions} validation questions of "
        f"{outcome.validation.place}, seeds {', '.join(map(str, outcome.seeds))}.",
        f"It runs by: {run_command(outcome, folder)}",
    ]
    return "".join(f"# {printed(line)}\n" for line in head) + text.getvalue()


def run_command(outcome: Outcome, folder: Path) -> str:
    """What runs the best settings."""
    return shlex.join(["bench", "run", str(folder / BEST), *outcome.files])


def write(outcome: Outcome, folder: Path) -> None:
    """Write both files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / TRIALS, csv_text(outcome))
    replace(folder / BEST, best_suite(outcome, folder))


def written(settings: Settings) -> str:
    """Settings as people read them."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def lines(outcome: Outcome) -> Iterator[str]:
    """What is to be told below the table."""
    rows = outcome.as_json()["methods"]
    place = outcome.validation
    benchmark, metric = outcome.score
    yield (
        f"Score: {metric} of {benchmark} on {place.questions} validation questions of {place.place}, seeds "
        f"{', '.join(map(str, outcome.seeds))}. No test question of the suite is among them."
    )
    if place.trained:
        yield f"{place.trained} of {place.questions} validation questions are training prompts, too."
    if at_end := [f"{row['method']} ({_ends(row)})" for row in rows if row["at_an_end"]]:
        told = f"{len(at_end)} of {len(rows)} methods: {'; '.join(at_end)}"
        yield f"* at an end of what was tried, so that a wider range may be better: {told}"
    for row in rows:
        if row["tied"]:
            yield f"{row['method']}: {row['tied']} more have the best score; the first one tried is taken."
    failed = [t for own in outcome.trials.values() for t in own if t.score is None]
    for trial in failed:
        yield f"{trial.method}, {written(trial.settings)}: {trial.status}"
    if lost := sum(t.lost for own in outcome.trials.values() for t in own if t.score is not None):
        yield f"{lost} verdicts could not be read, and are in no score."
    if cut := sum(t.truncated for own in outcome.trials.values() for t in own):
        yield f"{cut} of the answers behind the scores were cut at their limit: `truncated` of {TRIALS}."


def _ends(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{end} {name}" for name, end in row["at_an_end"].items())


def show(outcome: Outcome, width: int) -> str:
    """The table and what stands below it, for a terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Method", "Trials", "Best", box=SIMPLE)
    for head in ("Score", "Next", "Worst", "FLOPs"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in outcome.as_json()["methods"]:
        trials = f"{row['trials']}, {row['failed']} failed" if row["failed"] else str(row["trials"])
        numbers = ("-" if row[k] is None else f"{row[k]:.4f}" for k in ("score", "next_best", "worst"))
        flops = "-" if row["flops"] is None else f"{row['flops']:.1e}"
        cells = (row["method"], trials, _best(row), *numbers, flops)
        table.add_row(*(Text(printed(cell)) for cell in cells))
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue() + "".join(f"{printed(line)}\n" for line in lines(outcome))


def _best(row: Mapping[str, Any]) -> str:
    """The best settings, those with a star that lie at an end."""
    if row["best"] is None:
        return "-"
    return ", ".join(f"{k} {v:g}{'*' if k in row['at_an_end'] else ''}" for k, v in row["best"].items())
