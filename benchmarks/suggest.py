"""What an unknown name may have meant: the end of a message."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], none: str = "none") -> str:
    """ "; did you mean 'gpt-4'? known: gpt-4, gpt-3"; `none` stands where nothing is known."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"; {hint}known: {', '.join(names) or none}"
