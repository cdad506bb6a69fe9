"""How the settings of methods are chosen: what a suite says of it, and the trials that this means.

section: the key `tuning`; search: each method's trials; scoring: the suite as trials are scored
"""
