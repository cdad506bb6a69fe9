"""How far a judge's verdicts on one answer scatter: repeats asks for some of a benchmark's again."""
