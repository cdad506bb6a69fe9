"""What decodes: rows (what is asked, and which token is next) -> slots (with a cache, or without)."""
