"""The pocket study: how much of what one run shows is the run's own. `python -m tests.pocket_study`."""
