"""The parts of the check: each yields lines, and needs no other to have run."""
