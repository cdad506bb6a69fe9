"""Pages of the docs that are made from the code: methods, and the keys of a suite."""
