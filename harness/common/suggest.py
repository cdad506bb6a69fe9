"""What an unknown name may have meant."""

import difflib
from collections.abc import Iterable, Sequence

from harness.common.text import cut

LISTED = 120  # characters of all known names
NEAR = 8  # names among which the nearest is chosen


def did_you_mean(given: str, known: Iterable[str], purpose: str = "") -> str:
    """The end of a message that offers the known name most like what was given; "" where none is like it."""
    alike = {name.lower(): name for name in reversed(list(known))}
    # 0.5 where difflib has 0.6: names here are short, and one letter weighs much. It compares each character
    # with each, so a name of thousands would take minutes.
    word = given[:LISTED].lower()
    near = difflib.get_close_matches(word, alike, n=NEAR, cutoff=0.5)
    if not near:
        return ""

    def likeness(name: str) -> tuple[float, bool]:
        # Of names as near as another, such as DPO and OPD to DOP, one that begins as what was typed.
        return difflib.SequenceMatcher(None, name, word).ratio(), name[:1] == word[:1]

    return f"; did you mean {alike[max(near, key=likeness)]!r}{purpose}?"


def meant(given: str, known: Iterable[str]) -> str:
    """The known name that was given in other case; what was given, where that is known or means several."""
    alike = {name for name in known if name.lower() == given.lower()}
    return next(iter(alike)) if given not in alike and len(alike) == 1 else given


def nearest(given: str, known: Sequence[str]) -> str:
    """The known name most like what was given, or all of them, as far as a line has room."""
    listed = cut(", ".join(known), LISTED) or "none"
    return did_you_mean(given, known).removeprefix("; ") or f"known: {listed}"
