"""What people write, read within limits."""
