"""A run's rows in pandas, cell by cell: python examples/read_results.py runs/pocket

`results.jsonl` has one line a measured item: who answered (method, seed), what was asked (benchmark,
question, turn), who judged, and the value, empty where there is none (status says why). A share is 0-1.
"""

# %% The rows of a run
import sys
from pathlib import Path

import pandas as pd

from reports import results

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/pocket")
run = results(folder)
records = run.records
print(f"{len(records)} rows, {records.method.nunique()} methods, {records.benchmark.nunique()} benchmarks")

# %% What the run says, and the numbers of its main table
print("\n".join(run.verdict()))
print(run.tables()["main"].pivot(index="method", columns="column", values="value").round(3))

# %% What could not be measured, by reason: these rows have no value, and no mean may take them for zeros
print(records.groupby(["benchmark", "status"]).size().unstack(fill_value=0))

# %% One number a method, benchmark and metric. Turns and orders of a question first: they are not independent
per_question = records.groupby(["benchmark", "metric", "method", "seed", "question"]).value.mean()
means = per_question.groupby(["benchmark", "metric", "method"]).mean().unstack("method")
print(means.round(3))

# %% Two methods on the same questions: the difference of each, and its standard error
benchmark, metric, one, two = "rule", "score", "ADPA", "DPO"
if {one, two} <= set(records.method) and benchmark in set(records.benchmark):
    both = per_question[benchmark, metric].unstack("method")
    difference = (both[one] - both[two]).dropna()
    error = difference.sem()
    print(f"{one} less {two}: {difference.mean():.3f} +- {error:.3f} over {len(difference)} questions")

# %% The tests that belong to such a statement, of all methods against one of them
if "DPO" in set(records.method):
    print(run.compare("DPO")[["column", "method", "less", "less_low", "less_high", "p_adjusted", "group"]])

# %% What a row cost beside what it reached
costs = pd.read_json(folder / "costs.jsonl", lines=True).set_index("method")
print(costs[["train_seconds", "train_flops", "teacher_flops"]])
