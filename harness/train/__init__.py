"""Training: one loop for every method.

step (the whole training) -> examples -> loop (loss and gradient of a step) -> checkpoints
select_checkpoint: the one a reward model likes best; online: the policy's own rollouts
micro_batches: how much of a step is computed at once; optimizing: a value's head beside the policy
launcher, worker, accelerate_setup: several processes; costs: the kinds of step, and what they take
"""
