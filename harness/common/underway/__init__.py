"""What a running step tells of how far it is."""
