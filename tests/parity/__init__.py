"""Our losses against TRL's trainers, from the same tokens and weights: `python -m tests.parity`."""

import os

# Read as TRL is imported: half of these trainers are in its experimental part, which warns at each import.
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
