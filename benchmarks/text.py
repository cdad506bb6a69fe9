"""Text that a message repeats, and text that says nothing."""

import unicodedata

SHOWN = 80  # characters of a value that a fault repeats


def cut(text: str, most: int = SHOWN) -> str:
    """A text in so many characters, its beginning and its end where it has more; others stand as escapes."""
    text = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end - 3]}...{text[-end:]}"


def says_nothing(text: str) -> bool:
    """Whether a text is of white space and of characters without a shape, such as U+200B, alone."""
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text)
