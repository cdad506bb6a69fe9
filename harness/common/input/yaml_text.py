"""YAML 1.2 that people write: in UTF-8, of plain values, and bounded in size, depth and number of values.

5e-7 is a number, `no` is a word. Any fault is a ValueError of one line, with the line of the text where there
is one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.reader import ReaderError

from harness.common.suggest import did_you_mean
from harness.common.text import cut

LARGEST = 500_000  # bytes: what a suite has is a hundredth of it, and the parser takes seconds for it
DEEPEST = 40  # of mappings and lists in each other
MOST = 50_000  # values, an alias counted as often as it stands for them
DIGITS = 300  # of a whole number, in bits some thousand
VERSION = re.compile(r"^%YAML[ \t]+(\S+)", re.MULTILINE)
PATH = 200  # characters shown of a file that cannot be read


class _Constructor(SafeConstructor):
    """Says where a value stands that is none of its kind, such as the date 2024-99-99."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as e:
            given = cut(str(node.value), 40)
            kind = str(node.tag).rpartition(":")[2]
            raise ConstructorError(
                None, None, f"{given} is no {kind}: {cut(str(e), 60)}", node.start_mark
            ) from e


def read(path: Path, what: str) -> Any:
    """The content of a file; `what` says what was looked for, where there is none."""
    try:
        if not path.is_file():
            beside = (
                sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
            )
            raise ValueError(f"no {what} {cut(str(path), PATH)}{did_you_mean(path.name, beside)}")
        size, raw = path.stat().st_size, path.read_bytes()[:LARGEST]
    except OSError as e:
        raise ValueError(f"{what} {cut(str(path), PATH)}: {e.strerror}") from e
    if size > LARGEST:
        raise ValueError(f"{path}: {size / 1e6:.1f} MB; a {what} has {LARGEST / 1e6} MB at most")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ValueError(f"{path}: not UTF-8 at byte {e.start + 1}; save it as UTF-8") from e
    return parse(text, str(path))


def parse(text: str, where: str) -> Any:
    """What a text says."""
    if (told := VERSION.search(text)) and told[1] != "1.2":
        means = "in which 010, 1:30 and no mean other things; leave the line out, this is read as YAML 1.2"
        raise ValueError(f"{where}: given %YAML {told[1]}, {means}")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        value = yaml.load(text)
    except ReaderError as e:
        row = text.count("\n", 0, e.position) + 1
        raise ValueError(f"{where}:{row}: not YAML: a character that text has not, {e.character!r}") from e
    except MarkedYAMLError as e:
        line = f":{e.problem_mark.line + 1}" if e.problem_mark else ""
        raise ValueError(f"{where}{line}: not YAML: {cut(_problem(e), 130)}") from e
    except YAMLError as e:
        raise ValueError(f"{where}: not YAML: {cut(str(e).splitlines()[0], 160)}") from e
    except RecursionError:
        raise ValueError(f"{where}: nested more than {DEEPEST} deep") from None
    _check_plain(value, where)
    return value


def _problem(fault: MarkedYAMLError) -> str:
    """What is wrong, without the values of a key that stands twice: it may be that of an endpoint."""
    return str(fault.problem).partition(" with value ")[0]


def _check_plain(value: Any, where: str) -> None:
    """ValueError for what is nested too deeply or too much, and for what JSON does not know."""
    count = 0
    waiting: list[tuple[str, Any, int]] = [("", value, 1)]
    while waiting:
        path, value, depth = waiting.pop()
        at = f"{where}: {cut(path)}: " if path else f"{where}: "
        if (count := count + 1) > MOST:
            raise ValueError(f"{at}more than {MOST:,} values, those that aliases stand for among them")
        if depth > DEEPEST:
            raise ValueError(f"{at}nested more than {DEEPEST} deep")
        if isinstance(value, dict | list):
            waiting += reversed([(name, part, depth + 1) for name, part in _parts(path, value, at)])
        elif isinstance(value, int) and value.bit_length() > DIGITS * 10 // 3:
            raise ValueError(f"{at}a whole number of more than {DIGITS} digits")
        elif not isinstance(value, str | int | float | None):
            raise ValueError(f"{at}given {cut(str(value))}, a {type(value).__name__}; text stands in quotes")


def _parts(path: str, value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Each value of a mapping or list with where it stands."""
    if isinstance(value, list):
        yield from ((f"{path}.{place}", part) for place, part in enumerate(value))
        return
    for key, part in value.items():
        if not isinstance(key, str):
            raise ValueError(f"{at}the key {cut(repr(key))} is no text; put it in quotes")
        yield f"{path}.{key}" if path else key, part
