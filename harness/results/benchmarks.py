"""What a run's benchmarks are, for the reports: `benchmarks.json` beside `results.jsonl`."""

from dataclasses import asdict

from harness.evaluate import registry
from harness.suite.schema import Suite
from reports.records import benchmarks as described


def benchmarks(suite: Suite) -> described.Benchmarks:
    """Every benchmark that is known, in the order of the tables' columns, then those of the suite alone.

    Those that were not measured are in it too: tables of several runs have their columns in one order.
    """
    known = {name: b.declaration for name, b in registry.known().benchmarks.items()}
    known |= {name: chosen.declaration for name, chosen in suite.benchmarks.chosen.items()}
    rows = [{"name": name, **asdict(declared.presentation)} for name, declared in known.items()]
    return described.Benchmarks.model_validate(rows)
