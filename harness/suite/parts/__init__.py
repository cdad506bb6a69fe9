"""The parts of a suite: models, data, and what is asked of models before a training."""
