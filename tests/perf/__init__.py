"""How fast the training here is, measured beside TRL on the same machine and against its matrix products.

    python -m tests.perf --sections head,train,generate --repeats 3

Every measurement is a process of its own (tests/perf/measure.py); what it says is kept below runs/perf, and
docs/performance.md is written from all that is there.
"""
