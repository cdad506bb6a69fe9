"""The commands that give a run's results away."""
