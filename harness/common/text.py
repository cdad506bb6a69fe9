"""Text for people and for file names."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmarks.text import cut as cut
from reports import escapes

# Of a URL: what stands before the host, and what is called like a key in its query.
CREDENTIALS = re.compile(r"(?<=//)[^/\s\"'?#]*@")
KEYS = re.compile(r"(?i)(?<=[?&;])([\w-]*(?:key|token|secret|password|sig|auth)[\w-]*=)[^&#\s\"'<>]+")


def without_credentials(text: str) -> str:
    """A text without the user, password and keys of the URLs in it."""
    return KEYS.sub(r"\1...", CREDENTIALS.sub("", text))


def texts_without_credentials(value: Any) -> Any:
    """What JSON is to be of, each text in it without credentials; JSON itself would lose the backslash of a
    quote that ends a key.
    """
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {texts_without_credentials(key): texts_without_credentials(one) for key, one in value.items()}
    return list(map(texts_without_credentials, value)) if isinstance(value, list | tuple) else value


def printed(text: str) -> str:
    """A text as it is printed: no credentials, and what a terminal would obey stands as its escape."""
    return escapes.visible(without_credentials(text))


def slug(label: str) -> str:
    """A name from outside as part of a file name: lower case, its other characters as single hyphens."""
    kept = "".join(c if c.isalnum() or c in "+." else "-" for c in label.lower())
    return "-".join(filter(None, kept.split("-")))


def aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """Rows as lines, cells below each other; those of the columns `numbers` end at one place."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # rich measures wide characters (CJK) by the cells that they take, which str.ljust does not.
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for column in range(len(rows[0])):
        table.add_column(justify="right" if column in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=10_000, color_system=None)  # of a pipe too: nothing is cut
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def size(count: float) -> str:
    """Bytes in B, kB, MB, GB or TB; nothing for none."""
    if count < 1:
        return ""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
