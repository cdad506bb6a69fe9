"""The way in: what runs on this machine, a suite and files to start from, a talk with a checkpoint."""
