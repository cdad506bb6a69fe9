"""What is tried before any work."""
