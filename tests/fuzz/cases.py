"""Bad inputs as data: a line of corpus/BORDER.yaml is a case.

- {fault: unknown key, suite: {Training: {lr: 1}}, said: [Training, training], before: traceback}

What is given, all of it optional:

    suite    keys with dots, set in tests/tiny.yaml: {methods.DPO.beta: x}; null takes a key away
    text     the whole suite file instead, in `encoding` (utf-8)
    set      what --set is given, one by one
    files    name -> content of files beside it; HEAD in a .py stands for tests/fuzz/method_head.txt
    method   what stands behind tests/fuzz/method_head.txt in m.py, which --method-file names; it runs SFT too
    make     names of tests/fuzz/makers.py, which make what a line of text can't, before `files`
    keys     JSON file -> keys with other values in it; null takes a key away
    encoded  file -> the encoding that it is written in, where it is not utf-8
    packed   files that are gzipped where they are
    kept     file -> how many of its first bytes are kept; as many as it lacks are cut where it is negative
    flipped  file -> the place of a byte that is another one
    words    the command instead of `run suite.yaml --plan`
    shell    a line of bash in place of `words`, in which `bench` is the command
    env      environment variables
    serve    faults that a server plays (tests/harness/endpoints/fault_server.py) at {host} of the suite,
             which is tests/fuzz/endpoint.yaml; the command is `run suite.yaml`
    process  true: a process from nothing, not one forked from a process that has imported the libraries

<<9*5000>> in any text of these stands for 5,000 times 9. And what is expected:

    said     words that the line holds: the file, row or key first, then what was given or is allowed
    code     the exit code, 2 if absent; 0 is said of what is rightly accepted
    before   how it ended when it was added, where not as it should: traceback, nonsense, hang, abort, silent,
             long (over 300 characters), no key (neither file, row nor key in it), code (exit code)
    why      of a case that may end otherwise than by one line and exit code 2: why that is right
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
HEAD = (HERE / "method_head.txt").read_text()
REPEATED = re.compile(r"<<(.+?)\*(\d+)>>", re.DOTALL)

Ending = Literal["traceback", "nonsense", "hang", "abort", "silent", "long", "no key", "code"]


class Case(BaseModel):
    """One line of the corpus, and the border that its file is named after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    border: str
    fault: str
    suite: dict[str, Any] = Field(default_factory=dict)
    text: str | None = None
    encoding: str = "utf-8"
    set: tuple[str, ...] = ()
    method: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    make: tuple[str, ...] = ()
    keys: dict[str, dict[str, Any]] = Field(default_factory=dict)
    encoded: dict[str, str] = Field(default_factory=dict)
    packed: tuple[str, ...] = ()
    kept: dict[str, int] = Field(default_factory=dict)
    flipped: dict[str, int] = Field(default_factory=dict)
    words: tuple[str, ...] = ()
    shell: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    serve: tuple[dict[str, Any], ...] | None = None
    process: bool = False
    said: tuple[str, ...] = ()
    code: int = 2
    before: Ending | None = None
    why: str = ""


def cases() -> Iterator[tuple[str, Case]]:
    """Every case with its name: border, number in its file, fault."""
    for path in sorted(CORPUS.glob("*.yaml")):
        for number, line in enumerate(YAML(typ="safe", pure=True).load(path) or [], 1):
            case = Case(border=path.stem, **line)
            yield f"{case.border}-{number}-{case.fault.replace(' ', '_')}", case


def expanded(given: Any) -> Any:
    """The same with every <<TEXT*N>> written out."""
    if isinstance(given, str):
        return REPEATED.sub(lambda found: found[1] * int(found[2]), given)
    if isinstance(given, dict):
        return {expanded(key): expanded(value) for key, value in given.items()}
    return [expanded(part) for part in given] if isinstance(given, list | tuple) else given
