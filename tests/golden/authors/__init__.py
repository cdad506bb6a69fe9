"""Losses as their authors' code computes them, as numbers; `make.py` makes them anew from the authors' files.

Nothing here imports anything of this project: what both sides misread alike would stand.
"""
