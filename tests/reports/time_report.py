"""How long all tables of a large run take, from its rows on disk.

    python -m tests.reports.time_report [--profile]

14 methods, 3 seeds, 1,000 questions with MT-Bench's ratings and AlpacaEval's win rates, B = 5,000.
"""

import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from reports import build as run
from reports.records import run_folder
from reports.records.rows import Cost, Record
from reports.records.run_folder import Rows

METHODS = ("Teacher", "Student", *(f"M{k}" for k in range(11)), "ADPA")
SEEDS, QUESTIONS = 3, 1_000
CATEGORIES = ("math", "writing", "coding", "stem")


def rows() -> Rows:
    """Ratings of two turns and verdicts in two orders, with chance of questions, of methods and of seeds."""
    rng = np.random.default_rng(0)
    measured, paid = [], []
    hard = rng.normal(0, 1, QUESTIONS)
    for k, method in enumerate(METHODS):
        own = hard + rng.normal(0, 0.5, QUESTIONS) + 0.05 * k
        for seed in range(SEEDS):
            found = own + rng.normal(0, 0.1) + rng.normal(0, 0.5, QUESTIONS)
            paid.append(Cost("s", "p", "d", method, seed, 1.0, 1.0, 1.0, 1, 0.0, 0, 0, "cpu"))
            for q, x in enumerate(found.tolist()):
                group = CATEGORIES[q % 4]
                of = ("s", "p", "d", method, seed)
                for n in (1, 2):
                    rating = float(np.clip(round(5 + 2 * x), 1, 10))
                    measured.append(
                        Record(*of, "mt-bench", "score", group, str(q), n, "", "gpt-4", "", rating)
                    )
                    order, won = ("", "ab", "ba")[n], 0.5 if method == "ADPA" else float(x > 0)
                    measured.append(
                        Record(*of, "alpaca-eval", "win_rate", "", str(q), 1, order, "gpt-4", "ADPA", won)
                    )
    return Rows(records=measured, costs=paid)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        run_folder.write(rows(), Path(name))
        profile = cProfile.Profile(time.process_time)
        if "--profile" in sys.argv:
            profile.enable()
        began, cpu = time.perf_counter(), time.process_time()
        there = run_folder.read(Path(name))
        read = time.perf_counter()
        tables = run.build(there)
        built = time.perf_counter()
        run.write_tables(tables, Path(name) / "tables")
        done, used = time.perf_counter(), time.process_time() - cpu
        profile.disable()
    count = sum(map(len, tables.values()))
    print(f"{len(there.records):,} records read in {read - began:.1f} s, {count} tables built in ", end="")
    print(
        f"{built - read:.1f} s, written in {done - built:.1f} s: {done - began:.1f} s ({used:.1f} s of CPU)"
    )
    if "--profile" in sys.argv:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
