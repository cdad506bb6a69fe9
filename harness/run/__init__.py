"""A whole run: from a suite to written tables.

pipeline -> preflight -> (executors) -> progress; tuning: a grid of runs; kinds: every kind of step
"""
