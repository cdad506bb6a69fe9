"""Calls to OpenAI-compatible endpoints, judges above all.

wire (one request) -> client (many) with pace, replies (the cache), ledger (the budget), prices
servers: those that are started here; session: all of it for one run
"""
