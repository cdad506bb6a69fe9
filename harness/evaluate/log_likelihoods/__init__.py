"""Log-likelihoods of continuations: which are computed together, and how.

batches: what shares a pass; asked_positions: the pass
"""
