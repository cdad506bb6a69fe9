"""Python files of the user's own: those named by --method-file, --benchmark-file and --judge-file."""

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from harness.common import shutdown
from harness.common.files import sha256
from harness.common.text import cut

OUT_OF_MEMORY = "OutOfMemoryError"  # torch's, by its name: a plan does without torch

T = TypeVar("T")
S = TypeVar("S")


def defined_in(path: str | None, kinds: tuple[type[S], type[T]], expected: str) -> tuple[S | T, ...]:
    """Every object of these types that a file defines at its top level; none without a file.

    `wanted` says what was looked for, where the file defines none. The module's name holds a hash of the
    file: what is pickled in one process is found in another, and an edited file is read anew.
    """
    if path is None:
        return ()
    try:
        there = Path(path).is_file()
    except OSError as e:  # such as a name too long
        raise ValueError(f"file {cut(path)}: {e.strerror}; it should define {expected}") from e
    if not there:
        raise ValueError(f"no file {cut(path)}; it should define {expected}")
    name = f"bench_extension_{digest(path)}"
    # By content, not by path: an edited file is another module, and a second look costs nothing.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # while it runs already: a dataclass looks its types up there
        try:
            with told(path, "its import"):
                spec.loader.exec_module(module)
        except ValueError:
            del sys.modules[name]  # half a module would be found the next time
            raise
    # By what they are: a second name of one object is no second method.
    found = {id(value): value for value in vars(sys.modules[name]).values() if isinstance(value, kinds)}
    objects = tuple(found.values())
    if not objects:
        raise ValueError(f"{path}: defines no {expected}")
    return objects


@contextmanager
def told(path: str, what: str) -> Iterator[None]:
    """Whatever a file's code raises while it does `what` is one ValueError line: file, line, what, and why.

    A sys.exit is a fault like any other: it would end the command as if all were done.
    """
    try:
        yield
    except shutdown.Terminated:
        raise
    except (Exception, SystemExit) as e:
        if type(e).__name__ == OUT_OF_MEMORY:  # which whoever computes mends
            raise
        words = cut(f"{type(e).__name__}: {e}".strip(": "), 120)
        raise ValueError(f"{path}{_line(path, e)}: {what}: {words}") from e


def _line(path: str, error: BaseException) -> str:
    """ ":12", the last line of the file that it came from; "" where it came from none."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == Path(path).resolve()]
    return f":{lines[-1]}" if lines else ""


def digest(path: str) -> str:
    """A hash of the file: part of the identity of what it makes."""
    return sha256(Path(path))[:12]
