"""A finished plan as rows of JSON, which is all that reports read.

write -> records, costs, training, judging, judge_checks, benchmarks, texts, exports
"""
