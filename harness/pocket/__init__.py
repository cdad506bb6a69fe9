"""The pocket world: a closed small language, real in all but size, whose rule scores any answer exactly."""
