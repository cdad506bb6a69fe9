"""Text for people and for file names."""

import re
from collections.abc import Collection, Sequence

THOUGHT = re.compile(r"<(think(?:ing)?)>.*?</\1>|\[THINK\].*?\[/THINK\]", re.DOTALL | re.IGNORECASE)
# A template may open the block itself, and a limit may cut it.
OPENED_BEFORE = re.compile(r"\A.*?(?:</think(?:ing)?>|\[/THINK\])", re.DOTALL | re.IGNORECASE)
CUT_INSIDE = re.compile(r"\A\s*(?:<think(?:ing)?>|\[THINK\]).*\Z", re.DOTALL | re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """A reply without what its model thought: "<think>[[9]]?</think>Rating: [[3]]" -> "Rating: [[3]]"."""
    for block in (THOUGHT, OPENED_BEFORE, CUT_INSIDE):
        text = block.sub("", text)
    return text


# What a model thought before its answer, in one block or several; of the last the end may be cut, or the
# beginning stand in the prompt. What an answer itself says of such marks stays.
OPENS, ENDS = r"(?:<think(?:ing)?(?:\s[^>]*)?>|\[THINK\])", r"(?:</think(?:ing)?\s*>|\[/THINK\])"
MARK = re.compile(f"{OPENS}|{ENDS}", re.IGNORECASE)
OPENED = re.compile(rf"{OPENS}\s*\Z", re.IGNORECASE)
LEADING = re.compile(
    rf"\A(?:\s*{OPENS}.*?(?:{ENDS}|\Z))+\s*|\A(?:(?!{OPENS}).)*?{ENDS}\s*", re.DOTALL | re.IGNORECASE
)


def thoughts_and_answer(text: str) -> tuple[str, str]:
    """What a model thought, "" where nothing, and its answer: "<think>Hm</think>Yes" -> "<think>Hm</think>",
    "Yes".
    """
    thought = LEADING.match(text)
    return (thought[0], text[thought.end() :]) if thought else ("", text)


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
