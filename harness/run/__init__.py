"""A whole run: from a suite to written tables.

pipeline -> preflight -> (executors) -> progress; tuning: equal trials of methods; kinds: every kind of step
"""
