"""What was lost, changed or seen before on the way to a run's numbers, counted.

counts: what records of steps hold; overlap -> ngrams: training prompts that stand in benchmarks' questions
"""
