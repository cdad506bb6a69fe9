"""Who runs the steps of a plan: this process, Ray, or SLURM.

scheduler (steps in order) -> protocol -> this_machine, ray, slurm -> job (one step in a worker)
options, factory: which one; resources: what a step asks for; endpoint_lane: judging beside generation
"""
