"""What a plan takes before it is run: operations, hours, disk, memory and money, on devices of any number.

    models, texts -> costs (one step) -> devices (seconds) -> schedule, sharing -> shown

What a record counts is counted here by the same formula; what is not known yet is assumed, and said so.
"""
