"""What a run's benchmarks are, for the reports: `benchmarks.json` beside `results.jsonl`."""

from harness.evaluate import registry
from harness.suite.benchmarks import described, noted
from harness.suite.schema import Suite
from reports.records.benchmarks import DEFAULT, Benchmarks


def benchmarks(suite: Suite) -> Benchmarks:
    """Every benchmark that is known, in the order of the tables' columns, then those of the suite alone.

    Those that were not measured are in it too: tables of several runs have their columns in one order.
    """
    known = {name: b.declaration for name, b in registry.known().benchmarks.items()}
    # Of what is asked questions, the tables say by what these were answered.
    by = suite.generation.decoder.note
    known |= {
        name: noted(chosen.declaration, by if chosen.declaration.load else "")
        for name, chosen in suite.benchmarks.chosen.items()
    }
    # Rows list those that a judge reads first; columns have an order of their own, new ones come last.
    order = [*(b.name for b in DEFAULT), *known]
    return Benchmarks(tuple(described(name, known[name]) for name in sorted(known, key=order.index)))
