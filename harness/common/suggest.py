"""What an unknown name may have meant."""

import difflib
from collections.abc import Sequence


def nearest(given: str, known: Sequence[str]) -> str:
    """The known name most like what was given, or all of them."""
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
