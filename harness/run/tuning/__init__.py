"""`bench tune`: settings of methods, chosen on validation questions by an equal budget for each.

tune -> validation_questions, trials -> outcome
"""
