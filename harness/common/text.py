"""Text for people and for file names."""

import unicodedata
from collections.abc import Collection, Sequence

from benchmarks import text
from harness.common.secrets.redaction import without_secrets
from reports import escapes


def cut(value: str, most: int = text.SHOWN) -> str:
    """A text in so many characters; of a secret that is cut in two no part is shown."""
    return text.cut(without_secrets(value) if len(value) > most else value, most)


def printed(text: str) -> str:
    """A text as it is printed: no secrets, and what a terminal would obey stands as its escape."""
    return escapes.visible(without_secrets(text))


def slug(label: str) -> str:
    """A name from outside as part of a file name: lower case, its other characters as single hyphens."""
    kept = "".join(c if c.isalnum() or c in "+." else "-" for c in label.lower())
    return "-".join(filter(None, kept.split("-")))


def file_name(name: str) -> str:
    """A name without what would be a folder ("DCKD w/o dispreferred", "org/judge")."""
    return name.replace("/", "_")


def same_on_some_disk(name: str) -> str:
    """What two names have in common whose files some disk takes for one: not every disk tells dpo and DPO
    apart, nor the two ways to write an accent.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", file_name(name)).casefold())


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
