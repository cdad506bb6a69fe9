"""Data sets to token sequences.

turns -> layouts -> datasets (rows of any layout) -> chat_template (token ids) -> token_sequences (on disk)
prepare: the steps that do it; rewards: scores of answers, read back
chat_format: how a model is spoken to, one way for the models of a pair; fitted: rows of at most max_length
"""
