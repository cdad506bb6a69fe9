"""A plan that is only told, to people and to programs."""
