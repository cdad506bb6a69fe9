"""Data sets to token sequences.

turns -> layouts -> datasets (rows of any layout) -> chat_template (token ids) -> token_sequences (on disk)
prepare: the steps that do it; rewards: scores of answers, read back
"""
