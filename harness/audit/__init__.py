"""A finished run's numbers beside those that the benchmarks' own tools compute from its exports.

audit -> comparison -> our_numbers, official
"""
