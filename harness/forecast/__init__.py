"""What a plan takes before it is run: operations, hours, disk, memory and money, on devices of any number.

    sizes (of models and texts) -> forecast (seconds and schedule) -> report (what `--plan` prints)
    planned: that of a run; judging_estimate: what `--estimate` prints

A step's cost is declared with its kind, by the formula that its record is made with; what is not known yet is
assumed, and said so.
"""
