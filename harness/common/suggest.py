"""What an unknown name may have meant."""

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(given: str, known: Iterable[str], purpose: str = "") -> str:
    """The end of a message that offers the known name most like what was given; "" where none is like it."""
    # 0.5 where difflib has 0.6: names here are short, and one letter weighs much.
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}{purpose}?" if near else ""


def nearest(given: str, known: Sequence[str]) -> str:
    """The known name most like what was given, or all of them."""
    return did_you_mean(given, known).removeprefix("; ") or f"known: {', '.join(known) or 'none'}"
