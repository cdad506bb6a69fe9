"""What a server says, without the secrets that it was sent, which would be kept, shown and judged.

    "wrong key sk-Ab3d-77"    "SK_AB3D_77"    "c2stQWIzZC03Nw=="    "sk%2DAb3d%2D77"    ->    "<the key>"

A secret is found in other cases and writings, with other characters between its letters, and in base64 and
hexadecimal digits. A short one is found only as it is: words of answers may be alike.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator
from functools import cache

NO_KEY, HIDDEN = "none", "<the key>"
SHORTEST = 6  # characters of a secret
LEAST_SECRET = 16  # letters of a key that is letters alone
LEAST_IN_OTHER_WRITING = 12  # letters and digits
ESCAPED = re.compile(
    r"(?is)%([0-9a-f]{2})|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|&#x([0-9a-f]{1,5});|&#(\d{1,6});"
)
ONE = re.compile(rf"(?is){ESCAPED.pattern.removeprefix('(?is)')}|.")


def is_word(key: str) -> bool:
    """Whether a key is what servers are given that want none (1, EMPTY, dummy, token): a word, which answers
    and names of fields may have, and no secret.
    """
    return len(key) < SHORTEST or (key.isalpha() and len(key) < LEAST_SECRET)


def hide(text: str, secrets: tuple[str, ...]) -> str:
    """The text with `HIDDEN` in the place of each secret, however it is written."""
    for secret in sorted(secrets, key=len, reverse=True):  # of two the one that holds the other
        if is_word(secret):
            continue
        for form in _encoded(secret):
            text = text.replace(form, HIDDEN)
        letters = _letters(secret)
        if len(letters) >= LEAST_IN_OTHER_WRITING and letters in _letters(text):
            text = _without(letters, text)
    return text


@cache
def _encoded(secret: str) -> tuple[str, ...]:
    """The secret, its hexadecimal digits, and its base64 wherever in a longer text it begins."""
    content = secret.encode()
    forms = [secret, content.hex(), content.hex().upper()]
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + content).decode().rstrip("=")
        # The digits at either end say something of what stands beside it, too.
        inner = whole[offset and offset + 1 : len(whole) - bool((offset + len(content)) % 3)]
        forms += [inner, inner.translate(str.maketrans("+/", "-_"))]
    return tuple(dict.fromkeys(forms))


def _letters(text: str) -> str:
    """The letters and digits of a text, each as it is typed, in lower case."""
    typed = unicodedata.normalize("NFKD", ESCAPED.sub(_decoded, text)).lower()
    return re.sub(r"[\W_]+", "", typed)


def _decoded(found: re.Match[str]) -> str:
    digits = next((group for group in found.groups() if group), None)
    if digits is None:
        return found[0]
    number = int(digits, 10 if found.group(5) else 16)
    return chr(number) if number < 0x110000 else found[0]


def _without(letters: str, text: str) -> str:
    """The text without what has these letters and digits in this order and no others between them."""
    parts = [(_letters(found[0]), found.start(), found.end()) for found in ONE.finditer(text)]
    places = [place for letter, *place in parts for _ in letter]
    said = "".join(letter for letter, *_ in parts)
    kept, after = [], 0
    for begin in _places(letters, said):
        first, last = places[begin], places[begin + len(letters) - 1]
        kept += [text[after : first[0]], HIDDEN]
        after = last[1]
    return "".join([*kept, text[after:]])


def _places(part: str, whole: str) -> Iterator[int]:
    at = whole.find(part)
    while at >= 0:
        yield at
        at = whole.find(part, at + len(part))
