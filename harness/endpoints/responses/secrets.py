"""What a server says, without the secrets that it was sent, which would be kept, shown and judged.

    "wrong key sk-Ab3d-77-Qx9"    "SK_AB3D_77_QX9"    "sk%2DAb3d%2D77%2DQx9"    in base64    ->    "<the key>"

A secret is found as it is, in base64 and in hexadecimal digits; one that no words or numbers of an answer
can be alike also in other cases and writings, with other characters between its letters.
"""

import base64
import re
from functools import cache

NO_KEY, HIDDEN = "none", "<the key>"
SHORTEST = 6  # characters of a secret
LEAST_SECRET = 16  # letters of a key that is letters alone
LEAST_IN_OTHER_WRITING = 12  # letters and digits
FULL_WIDTH = 0xFEE0  # from a character of ASCII to its form in Chinese and Japanese text
# What stands between letters: any other character, as it is or (of ASCII) by its number. A letter's number is
# none: where a text could be read in two ways, a search through long replies would not end.
NO_LETTER = "(?:[012][0-9a-f]|3[a-f]|40|5[b-f]|60|7[b-f])"
NO_LETTER_10 = "(?:[1-3]?[0-9]|4[0-7]|5[89]|6[0-4]|9[1-6]|12[3-7])"
BETWEEN = rf"(?:%{NO_LETTER}|\\u00{NO_LETTER}|\\x{NO_LETTER}|&\#x0*{NO_LETTER};|&\#0*{NO_LETTER_10};|[\W_])*"


def is_word(key: str) -> bool:
    """Whether a key is what servers are given that want none (1, EMPTY, dummy, token): a word, which answers
    and names of fields may have, and no secret.
    """
    return len(key) < SHORTEST or (key.isalpha() and len(key) < LEAST_SECRET)


def is_of_language(part: str) -> bool:
    """Whether what stands in a key is a word that texts have, too."""
    return part.isalpha() and len(part) < LEAST_SECRET and (part.islower() or part.istitle())


def is_unlike_words(key: str) -> bool:
    """Whether a key is one in any writing, which "not-needed", "lm-studio" and 123456789012 are not."""
    letters = _letters(key)
    least = LEAST_SECRET if letters.isalpha() else LEAST_IN_OTHER_WRITING
    return len(letters) >= least and not letters.isdigit()


def stands_in(key: str, text: str) -> bool:
    """Whether a key is in a text that others read, such as a name or an address."""
    return is_unlike_words(key) and key in text


def hide(text: str, secrets: tuple[str, ...]) -> str:
    """The text with `HIDDEN` in the place of each secret, however it is written."""
    for pattern in _searches(secrets):
        text = pattern.sub(HIDDEN, text)
    return text


@cache
def _searches(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """What finds them, once for all texts of a server; of two secrets first the one that holds the other."""
    found = []
    for secret in sorted(secrets, key=len, reverse=True):
        if not is_word(secret):
            found.append(_itself(secret))
            if is_unlike_words(secret):
                found += [re.compile("|".join(map(re.escape, _encoded(secret)))), _in_any_writing(secret)]
    return tuple(found)


def _letters(key: str) -> str:
    return re.sub(r"[\W_]+", "", key)


def _itself(secret: str) -> re.Pattern[str]:
    """The secret, but not within a longer word or number where it is short."""
    edge = len(secret) < LEAST_IN_OTHER_WRITING
    return re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)" if edge else re.escape(secret))


def _encoded(secret: str) -> tuple[str, ...]:
    """Its hexadecimal digits, and its base64 wherever in a longer text it begins."""
    content = secret.encode()
    forms = [content.hex(), content.hex().upper()]
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + content).decode().rstrip("=")
        # The digits at either end say something of what stands beside it, too.
        inner = whole[offset and offset + 1 : len(whole) - bool((offset + len(content)) % 3)]
        forms += [inner, inner.translate(str.maketrans("+/", "-_"))]
    return tuple(dict.fromkeys(forms))


def _in_any_writing(secret: str) -> re.Pattern[str]:
    """Its letters and digits in this order, no others between them."""
    return re.compile(BETWEEN.join(map(_writings, _letters(secret))), re.IGNORECASE)


def _writings(letter: str) -> str:
    """A letter or digit of ASCII as itself, of full width, or by its number."""
    forms = [letter, chr(ord(letter) + FULL_WIDTH)]
    for n in {ord(letter.lower()), ord(letter.upper())}:
        forms += [f"%{n:02x}", rf"\\u00{n:02x}", rf"\\x{n:02x}", rf"&\#x0*{n:x};", rf"&\#0*{n};"]
    return f"(?:{'|'.join(forms)})"
