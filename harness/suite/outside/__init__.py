"""What files of the user's own define, guarded: benchmarks and judges."""
