"""Trackers are told of a run by processes beside it, from the files that its steps and its results leave.

So what executor runs a step, where, and whether it was done before makes no difference, no number can change,
and a tracker that fails or hangs stops itself alone.
"""
