"""Settings from outside, checked: a fault is one line with its key, what was given and what is allowed."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from benchmarks.file_bytes import TYPED
from harness.common.input.keys import keys_at
from harness.common.secrets.redaction import without_secrets
from harness.common.suggest import did_you_mean, nearest
from harness.common.text import cut

MISSING = ("missing", "missing_argument")  # pydantic's words
# What pydantic says in Python's words, in a suite's.
SAID = {
    **dict.fromkeys(("tuple_type", "list_type"), "input should be a list, such as [a, b]"),
    **dict.fromkeys(
        ("dict_type", "model_type", "dataclass_type", "mapping_type"), "input should be a mapping of keys"
    ),
    "string_too_short": "input should be a text that says something",
}
OURS = "value_error"  # of a fault that a check of this tree found
ROOM = 200  # characters of faults in one line, beside the file
LARGEST = 2**63 - 1  # what indices, seeds and JSON's readers bear


class Strict(BaseModel):
    """A part of a suite: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


LONGEST = 100  # bytes of a name: a file's may have 255, of which exports and logs take some
WORLD = "world"  # begins a path inside the generated world


def _name(given: str) -> str:
    odd = not given.strip("./ ") or given != given.strip() or not given.isprintable()
    if odd or len(given.encode()) > LONGEST:
        allowed = f"a name is printable, of 1 to {LONGEST} bytes, and not only dots and slashes"
        raise ValueError(f"given {cut(repr(given))}; {allowed}, without blanks around it")
    return given


LEAST, MOST = 1e-6, 100.0  # a temperature of less is greedy, and by one of more each token is as likely


def bounded_temperature(given: float) -> float:
    """The temperature; ValueError where it is neither 0 nor within the bounds."""
    if given and not LEAST <= given <= MOST:
        raise ValueError(f"given {given:g}; 0 (greedy), or from {LEAST:g} to {MOST:g}")
    return given


Temperature = Annotated[float, Field(ge=0), AfterValidator(bounded_temperature)]

# What files are called after: of a row, a pair, a data set, a judge.
Name = Annotated[str, AfterValidator(_name)]


def inside_world(path: str) -> str | None:
    """What a path "world/..." names inside the generated world, "" the world itself; None for a path from
    outside. ValueError for one that leaves the world: its content would be in no step's id.
    """
    first, _, inside = path.partition("/")
    if first != WORLD:
        return None
    if PurePosixPath(inside).is_absolute() or ".." in PurePosixPath(inside).parts:
        lies = f"{WORLD}/... lies in the generated world: name a file outside without {WORLD}/"
        raise ValueError(f"given {cut(repr(path))}; {lies}")
    return inside


def _variable(given: Any) -> Any:
    """The name of a variable of the environment; what may be a key in its place is not repeated."""
    if not isinstance(given, str) or not (VARIABLE.fullmatch(given) or given in os.environ):
        allowed = "the name of an environment variable, such as OPENAI_API_KEY, and never a key itself"
        raise ValueError(f"given something else, which is not shown; {allowed}")
    return given


def _url(given: str) -> str:
    """An address that can be asked; urlsplit takes nearly any text for one."""
    try:
        parts = urlsplit(given)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = None
    if not known or not given.isprintable() or " " in given:
        raise ValueError(f"given {cut(repr(given))}; a URL, such as http://127.0.0.1:8000/v1")
    return given


Url = Annotated[str, AfterValidator(_url)]
VARIABLE = re.compile("[A-Z][A-Z0-9]{,18}(_[A-Z0-9]{1,19})*")  # of words that are shorter than a key
Variable = Annotated[str, BeforeValidator(_variable)]


def _of_server(given: tuple[str, ...]) -> tuple[str, ...]:
    """Words of a server's command line; ValueError for what would run a model folder's code, let others than
    this machine ask, or hold a key, which records keep. argparse takes the beginning of a name for it.
    """
    for word in given:
        name = word.partition("=")[0].lstrip("-").replace("_", "-")
        if word.startswith("--") and name and any(known.startswith(name) for known in NOT_OURS):
            raise ValueError(
                f"given --{cut(name)}, which is refused: a server is this machine's, runs no code "
                "of a model's folder, and has no key of its own"
            )
    return given


# Arguments of a server; a file of them (config) may hold any other.
NOT_OURS = ("trust-remote-code", "host", "port", "uds", "api-key", "hf-token", "root-path", "config")
ServerArguments = Annotated[tuple[str, ...], AfterValidator(_of_server)]


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    """What checks values of a type: made once, as it takes longer than the checks."""
    return TypeAdapter(model)


def validated(model: Any, raw: Any, where: str, key: str = "") -> Any:
    """`raw` as a model of pydantic; any fault is one ValueError line that begins with `where`.

    `key` says where `raw` stands in what is checked.
    """
    begin = f"{where}: " if where else ""
    try:
        made = _adapter(model).validate_python(raw)
    except PydanticUserError as e:  # of a dataclass of the user's own
        at = f"{key}: " if key else ""
        raise ValueError(f"{begin}{at}{model.__name__}: {e.message.split('. ')[0]}") from e
    except ValidationError as e:
        faults = dict[str, str]()
        for error in e.errors(include_url=False):
            path, fault = _path(error, raw, key), _explain(error, model)
            # Of the members of a union each says what it would have taken; what one of ours says is enough.
            first = path not in faults or error["type"] == OURS
            faults[path] = fault if first else f"{faults[path]}, or {fault.partition('; ')[2] or fault}"
        raise ValueError(f"{begin}{_line(faults)}") from None
    if faults := dict(_no_numbers(raw, made, key)):
        raise ValueError(f"{begin}{_line(faults)}")
    return made


class FaultAtKey(ValueError):
    """A fault that begins with its key."""


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """What is wrong with a file or folder that a key names is a ValueError that begins with the key, the
    innermost of several.
    """
    try:
        yield
    except FaultAtKey:
        raise
    except ValueError as fault:
        if str(fault).startswith(key):
            raise
        raise FaultAtKey(f"{key}: {fault}") from fault
    except OSError as e:
        if e.errno not in TYPED:
            raise
        raise FaultAtKey(f"{key}: {cut(str(e.filename), ROOM)}: {e.strerror}") from e


def parts(of: Any) -> dict[str, Any]:
    """The fields of a dataclass and what they hold, with slots too."""
    return {field.name: getattr(of, field.name) for field in fields(of)}


def in_range(declared: Any, where: str) -> None:
    """ValueError, one line, where a dataclass or one inside it holds what its types do not allow."""
    held = parts(declared)
    validated(type(declared), held, where)
    for name, value in held.items():
        if is_dataclass(value):
            in_range(value, f"{where}.{name}")


def _line(faults: Mapping[str, str]) -> str:
    """The first faults, by path, as far as a line has room, whatever a key holds; a fault inside a value
    stands for those of the value.
    """
    outer = {path for path in faults for other in faults if other.startswith(f"{path}.")}
    told = [
        f"{cut(path) if path.isprintable() and path == path.strip() else repr(path)}: {cut(fault, ROOM)}"
        if path
        else cut(fault, ROOM)
        for path, fault in faults.items()
        if path not in outer
    ]
    room = [n for n in range(1, len(told) + 1) if n == 1 or len("; ".join(told[:n])) <= ROOM]
    more = len(told) - room[-1]
    return "; ".join(told[: room[-1]]) + (f"; and {more} more" if more else "")


def _path(error: Any, raw: Any, key: str) -> str:
    """Where a fault stands, by the keys of what was given; pydantic's names of a union's members are none."""
    names = [key] if key else []
    for part in error["loc"]:
        listed = isinstance(raw, list | tuple) and isinstance(part, int) and part < len(raw)
        if listed or (isinstance(raw, Mapping) and part in raw):
            names, raw = [*names, str(part)], raw[part]
    return ".".join([*names, str(error["loc"][-1])] if error["type"] in MISSING else names)


def _explain(error: Any, model: Any) -> str:
    """What is wrong with one value, what was given, and what is allowed."""
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key; {nearest(str(error['loc'][-1]), keys_at(model, error['loc'][:-1]))}"
    if error["type"] in MISSING:
        return "missing"
    # pydantic says of a key without a place that it is no text, as of a value.
    if error["type"] == "invalid_key" or (error["type"] == "string_unicode" and not error["loc"]):
        return f"{_given(error['input'])} as a key; a key is a text"
    if error["type"] == OURS:  # which says what was given
        return str(error["ctx"]["error"])
    hint = ""
    if error["type"] == "literal_error":  # whose words pydantic gives as text alone: 'own' or 'vllm'
        hint = did_you_mean(str(error["input"]), re.findall("'(.*?)'", error["ctx"]["expected"]))
    if isinstance(error["input"], float) and math.isinf(error["input"]):
        return f"{_given(error['input'])}; input should be a finite number"
    words = SAID.get(error["type"], f"{error['msg'][:1].lower()}{error['msg'][1:]}")
    if error["type"] == "too_short":
        words = f"at least {error['ctx']['min_length']}"
    return f"{_given(error['input'])}; {words}{hint}"


def _given(value: object) -> str:
    return f"given {cut(without_secrets(repr(value)))}"


def _no_numbers(raw: Any, made: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where pydantic took for a number what is none, or none that can be computed with: path, fault."""
    if isinstance(raw, Mapping):
        held = made if isinstance(made, Mapping) else parts(made) if is_dataclass(made) else vars(made)
        for name, value in raw.items():
            yield from _no_numbers(value, held.get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(raw, list | tuple) and isinstance(made, list | tuple):
        for place, pair in enumerate(zip(raw, made, strict=False)):
            yield from _no_numbers(*pair, f"{path}.{place}")
    elif isinstance(made, int | float) and not isinstance(made, bool):
        if isinstance(raw, bool):
            yield path, f"{_given(raw)}; input should be a number"
        elif isinstance(made, int) and abs(made) > LARGEST:
            yield path, f"{_given(raw)}; input should be a number of 64 bits"
        elif isinstance(made, float) and not math.isfinite(made):
            yield path, f"{_given(raw)}; input should be a finite number"
