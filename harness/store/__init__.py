"""Artifacts: folders named by the hash of what made them.

step, step_record (what is hashed) -> store -> locks; provenance, code_version: what differs and why
append_log, array_file: files that outlive a kill; maintenance: what nobody needs
"""
