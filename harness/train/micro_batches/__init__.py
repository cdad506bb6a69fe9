"""The micro-batches of an optimizer step: how much is computed at once."""
