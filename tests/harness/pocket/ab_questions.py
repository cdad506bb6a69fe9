"""What the generated A-or-B questions hold."""

import re


def inside_ab(text: str) -> str | None:
    """The question that an A-or-B question holds; None for any other text."""
    found = re.fullmatch(r"question : (.+?) answer a : .* answer b : .* which is better , a or b \?", text)
    return found[1] if found else None
