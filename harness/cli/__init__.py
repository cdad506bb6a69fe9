"""The command `bench`, a module for each group of subcommands; the work itself is in harness/run.

app -> options -> evaluate, audit, report, store, view, pages, suite_catalogue
"""
