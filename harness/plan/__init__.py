"""A suite as steps, each once however many rows of the table share it.

plan -> lineage (the models of a pair) -> signal_steps -> shared_passes
     -> measurements (a row's benchmarks) -> judges
context: what all of them look up; row_steps: the steps behind a row
"""
