"""What a suite may say, checked.

schema -> loading (files, `extends`, `--set`), from_command_line -> training, benchmarks, judging
measurement: what a benchmark is to a row of the table; extension_file, method_file; validation
"""
