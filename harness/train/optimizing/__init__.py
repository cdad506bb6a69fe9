"""What an optimizer moves, how fast, and when."""
