"""What an unknown name may have meant."""

import difflib
from collections.abc import Iterable, Sequence

from harness.common.text import cut

LISTED = 120  # characters of all known names


def did_you_mean(given: str, known: Iterable[str], purpose: str = "") -> str:
    """The end of a message that offers the known name most like what was given; "" where none is like it."""
    alike = {name.lower(): name for name in reversed(list(known))}
    # 0.5 where difflib has 0.6: names here are short, and one letter weighs much. It compares each character
    # with each, so a name of thousands would take minutes.
    near = difflib.get_close_matches(given[:LISTED].lower(), alike, n=1, cutoff=0.5)
    return f"; did you mean {alike[near[0]]!r}{purpose}?" if near else ""


def meant(given: str, known: Iterable[str]) -> str:
    """The known name that was given in other case; what was given, where that is known or means several."""
    alike = {name for name in known if name.lower() == given.lower()}
    return next(iter(alike)) if given not in alike and len(alike) == 1 else given


def nearest(given: str, known: Sequence[str]) -> str:
    """The known name most like what was given, or all of them, as far as a line has room."""
    listed = cut(", ".join(known), LISTED) or "none"
    return did_you_mean(given, known).removeprefix("; ") or f"known: {listed}"
