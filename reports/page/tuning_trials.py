"""The trials of `bench tune` that a run's settings are the best of, from `tuning.csv` in its folder.

    method,lr,setting,value,my-bench_score,n,truncated,best,seeds,lost,status
    ADPA,0.002,gamma_beta,0.3,4.8200,400,0,yes,0,0,ok

Several settings beside the learning rate stand in two cells with spaces between; the fifth column is the
score, empty of a trial that has none.
"""

import csv
import math
from pathlib import Path
from typing import NamedTuple

NAME = "tuning.csv"
FIRST = ["method", "lr", "setting", "value"]
SCORE = len(FIRST)
BEST = "best"


class Trial(NamedTuple):
    """A method with some settings, as texts by name, its score, and whether it is the one that was chosen."""

    method: str
    settings: dict[str, str]
    score: float | None
    chosen: bool


class Tuning(NamedTuple):
    """All trials, and what they were scored by."""

    score: str = ""
    trials: tuple[Trial, ...] = ()


UNTUNED = Tuning()


def read(folder: Path) -> Tuning:
    """The trials in a run's folder, none where it has no such file; ValueError where a line is no trial."""
    path = folder / NAME
    if not path.is_file():
        return UNTUNED
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            head = next(lines, [])
            told = [(f"{path}:{lines.line_num}", line) for line in lines]
    except (UnicodeDecodeError, csv.Error) as fault:
        raise ValueError(f"{path}: not trials: {fault}") from None
    if head[:SCORE] != FIRST or BEST not in head[SCORE + 1 :]:
        raise ValueError(f"{path}:1: not trials: begins {','.join(head[:5])!r}, not {','.join(FIRST)!r}")
    return Tuning(head[SCORE], tuple(_trial(line, head, where) for where, line in told))


def _trial(line: list[str], head: list[str], where: str) -> Trial:
    if len(line) != len(head):
        raise ValueError(f"{where}: not a trial: {len(line)} cells under {len(head)} columns")
    method, rate, names, values, score = line[: SCORE + 1]
    told = dict(zip(names.split(), values.split(), strict=False))
    if len(names.split()) != len(values.split()):
        raise ValueError(f"{where}: not a trial: settings {names!r} with values {values!r}")
    settings = ({"lr": rate} if rate else {}) | told
    return Trial(method, settings, _score(score, where), line[head.index(BEST)] == "yes")


def _score(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: not a trial: score {text!r} is no number")
    return value
