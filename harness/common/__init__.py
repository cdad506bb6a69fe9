"""Helpers that know nothing of models or suites: cost (the FLOPs formulas), files, hub ids, tokenizers,
SIGTERM, text, near matches of a name. In any order.
"""
