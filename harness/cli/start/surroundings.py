"""What stands around a command: its words, its streams, and the folder that it is run in."""

import os
import sys
from collections.abc import Sequence

from harness.common.text import cut

WORDS_OF_THEIR_OWN = "--set"  # which says itself what it wants
# Options that are given several times; of any other the last alone would count.
SEVERAL = ("--set", "--only", "--track", "--slurm", "--resources", "--data", "--keep", "--checkout")
SECONDS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
WIDEST = 1_000  # columns of a terminal
EMPTY = "given ''; a value, or leave it out"


def check_variables() -> None:
    """ValueError for a variable that a library would stop at without naming it."""
    for name in SECONDS:
        if (value := os.environ.get(name)) and not value.strip().isdecimal():
            raise ValueError(f"{name}: given {cut(repr(value))}; a whole number of seconds, or leave it out")


def open_streams() -> None:
    """Streams that were closed lead to nothing: the next file that is opened would be one of them."""
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def bound_width() -> None:
    """A terminal is not taken to be wider than any is: tables are filled with blanks to its right edge."""
    width = os.environ.get("COLUMNS", "")
    if width.isdecimal() and (len(width) > 9 or int(width) > WIDEST):
        os.environ["COLUMNS"] = str(WIDEST)


def close_output() -> None:
    """What a full disk did not take is not tried again by Python, which would say so in words of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check(words: Sequence[str]) -> None:
    """OSError where the folder is gone, ValueError for a word that says nothing: a path of it would be that
    folder, and any other option would be as if it were not there.
    """
    try:
        os.getcwd()
    except FileNotFoundError as e:
        raise FileNotFoundError("the folder that this is run in is gone; go to one that is there") from e
    once = set[str]()
    for place, word in enumerate(words):
        option, sign, value = word.partition("=")
        if option.startswith("--") and option not in SEVERAL and len(option) > 2:
            if option in once:
                raise ValueError(f"{option}: given twice; the first would count for nothing")
            once.add(option)
        if sign and not value and option.startswith("--") and option != WORDS_OF_THEIR_OWN:
            raise ValueError(f"{option}: {EMPTY}")
        if not word and (before := words[place - 1] if place else "") != WORDS_OF_THEIR_OWN:
            named = before if before.startswith("-") else f"argument {place + 1}, after {before or 'bench'}"
            raise ValueError(f"{named}: {EMPTY}")


def not_text(words: Sequence[str], fault: ValueError) -> str:
    """Which word was at fault where a text could not be written; "" where it was none of the command's.

    A path may be of any bytes, so that only who needs a text refuses a word that is none.
    """
    odd = [word for word in words if any("\ud800" <= character <= "\udfff" for character in word)]
    return f"{cut(odd[0])}: not UTF-8" if odd and isinstance(fault, UnicodeEncodeError) else ""
