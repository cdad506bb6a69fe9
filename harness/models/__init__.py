"""Models: loaded, trained through, decoded from.

loading, lora -> policy (log-probs and statistics) with prefix_sharing and memory
generation: answers; worker_pool: several processes; prepare: the steps that put models into the store
"""
