"""arena-hard-auto on an export of Arena-Hard: `load_judgments` of a copy of its repository, and the mean.

    python -I referee.py exports/arena-hard OUT CHECKOUT

Imports nothing of ours (benchmarks/referee.py). Its leaderboard is the mean of what `load_judgments` gives
over 100 unseeded bootstraps: the mean itself is what they scatter around.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HALF = "half-judged"  # the reason, as the declaration words it
BENCHMARK, JUDGE = "exported", "judge"  # what the tool's own folders are called for it
Row = dict[str, Any]


def main(folder: Path, out: Path, checkout: Path) -> None:
    """Every judge's file of an export: <reference>/model_judgment/<judge>/<row>.jsonl."""
    sys.path.insert(0, str(checkout))
    numbers = []
    for path in sorted(folder.glob("*/model_judgment/*/*.jsonl")):
        reference, _, judge, _ = path.relative_to(folder).parts
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        where = {"row": path.stem, "judge": judge, "reference": reference}
        numbers += [where | found for found in counted(rows)]
    tool = f"arena-hard-auto of {checkout}"
    out.write_text(json.dumps({"tool": tool, "notes": [], "numbers": numbers}))


def counted(rows: list[Row]) -> list[Row]:
    """The number of questions, and the win rate, or one for each of several categories."""
    whole, halves = questions(rows, 2), questions(rows, 1)
    numbers = [number("n", len(whole), len(whole) + len(halves) if halves else None)]
    categories = sorted({row["category"] for row in rows})
    for category in categories:
        played = scores([row for row in whole if row["category"] == category])
        once = [value for row in halves if row["category"] == category for value in half_scores(row)]
        metric = "win_rate" if len(categories) == 1 else f"win_rate/{category}"
        numbers.append(number(metric, mean(played), mean([*played, *once]) if once else None))
    return numbers


def number(metric: str, value: float | None, with_halves: float | None) -> Row:
    ways = [] if with_halves is None else [{"reasons": [HALF], "value": with_halves}]
    return {"metric": metric, "value": value, "by_design": ways}


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def questions(rows: list[Row], verdicts: int) -> list[Row]:
    """Those with so many verdicts."""
    return [row for row in rows if sum(map(judged, row["games"])) == verdicts]


def judged(game: Row | None) -> bool:
    return bool(game and game["score"])


def half_scores(row: Row) -> list[float]:
    """What the tool makes of a question's only verdict: it is given twice, and one half of that is taken."""
    first, second = row["games"]
    game = first if judged(first) else second
    both = scores([row | {"games": [game, game]}])
    half = len(both) // 2
    return both[half:] if judged(first) else both[:half]  # the scores of game 2 stand first


def scores(rows: list[Row]) -> list[float]:
    """What `load_judgments` gives for these rows, laid out as it looks for them."""
    if not rows:
        return []
    tool = import_module("show_result")  # of the checkout
    before = Path.cwd()
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        judge = Path(folder) / "data" / BENCHMARK / "model_judgment" / JUDGE
        judge.mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (judge / "rows.jsonl").write_text(lines, encoding="utf-8")
        os.chdir(folder)
        try:
            return [float(value) for value in tool.load_judgments([JUDGE], BENCHMARK)["scores"]]
        finally:
            os.chdir(before)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
