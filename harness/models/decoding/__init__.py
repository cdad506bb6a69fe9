"""What decodes: rows (what is asked, the next token) -> slots (in a cache), whole (without) -> choice."""
