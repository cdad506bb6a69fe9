"""Texts from outside in each format that they are shown in: what models, judges, servers and files write is
seen, and nothing of it acts.

    row of a terminal   "a\\x1b[2Jb"       a\\x1b[2Jb, as these eight characters
    Markdown            "[x](http://y)"   [x\\](http://y)
    CSV                 "=1+1"            '=1+1

tests/reports/texts_that_act.txt holds such texts, each of which a test passes through every format.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

# What a terminal, a page or an editor obeys: control characters, ends of lines that only some programs know,
# changes of direction, halves of surrogate pairs (which UTF-8 has not), and what is no character.
ACTING = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ufffe\uffff"
ACTING += "\ud800-\udfff"
# What nobody sees, so that two names look like one; not the joiners, which emoji and Persian have.
UNSEEN = "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u3164\ufe00-\ufe0d\ufeff\uffa0"
UNSEEN += "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
# After a letter of ASCII those, too, have nothing to join, but a Persian ending of a foreign word, or a digit
# the sign of a key.
JOINED = "(?<=[!-~])(?:[\u200c\u200d](?![^\\W\x00-\x7f])|\ufe0e|\ufe0f(?!\u20e3))"
# The flag of a part of a country, as of Scotland: a black flag and its code in tags that nobody sees.
FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
ANY = re.compile(f"{FLAG}|[{ACTING}{UNSEEN}]|{JOINED}")
BUT_LINES = re.compile(f"{FLAG}|(?![\n\t])[{ACTING}{UNSEEN}]|{JOINED}")
LINE_ENDS = re.compile("\r\n?|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")

MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_<|"})
LINKS = re.compile(r"\](?=[(\[:])")
# A heading, a quotation, a list, code; and what makes a heading of the line before it.
BLOCKS = re.compile(r"^(\s*)(?=#+(\s|$)|>|[-+]\s|~~~|-[-\s]*-\s*$|=+\s*$)|^(\s*\d+)(?=[.)](\s|$))")
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}"}  # a "[" after "\\" would be its argument
)
FORMULA = re.compile(r"[\s\"']*[=+\-@\t\r|%\uff1d\uff0b\uff0d\uff20]")  # of full width in some countries
NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?%?")
OF_JSON = re.compile(f"[<{ACTING}{UNSEEN}]|{JOINED}")


def visible(text: str) -> str:
    """A text of several lines, in which what would act stands as its escape."""
    return BUT_LINES.sub(_escape, text.replace("\r\n", "\n"))


def row(text: str) -> str:
    """A text as one line of a terminal, without ends of lines."""
    return ANY.sub(_escape, LINE_ENDS.sub(" ", text))


def markdown(text: str) -> str:
    """A text as characters of one paragraph or cell: no markup, link, heading or item of a list."""
    inline = LINKS.sub(r"\\]", row(text).translate(MARKDOWN))
    return BLOCKS.sub(lambda begin: f"{begin[0]}\\", inline)


def latex(text: str) -> str:
    """A text as characters of LaTeX, in one paragraph."""
    return row(text).translate(LATEX)


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet computes: texts that begin as formulas do have a "'" before them."""
    if not isinstance(value, str):
        return value
    shown = row(value)
    return f"'{shown}" if FORMULA.match(shown) and not NUMBER.fullmatch(shown) else shown


def html(value: Any) -> Any:
    """What a template puts into a page, which escapes "<" and its like itself."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def drawn(value: Any) -> Any:
    """The texts of a figure's specification; the library that draws ends with the process at some."""
    if isinstance(value, str):
        return row(value)
    if isinstance(value, Mapping):
        return {key: drawn(one) for key, one in value.items()}
    return [drawn(one) for one in value] if isinstance(value, Iterable) else value


def in_script(json: str) -> Markup:
    """JSON inside a `<script>`: nothing is left that could end it, or that no line of a script holds."""
    return Markup(OF_JSON.sub(_of_json, json))


def _of_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1] if len(found[0]) == 1 else found[0]  # a flag
