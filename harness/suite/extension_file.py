"""Python files of the user's own: those named by --method-file, --benchmark-file and --judge-file."""

import contextlib
import importlib.util
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import benchmarks
from harness import endpoints
from harness.common import shutdown
from harness.common.files import sha256
from harness.common.input.apart import first_fault
from harness.common.input.in_time import TooLong, in_time
from harness.common.text import cut

IMPORT_SECONDS = 120  # of libraries too, which take a while from a disk far away
SECONDS = 60  # of what is tried of a file before any work
FRAME = re.compile(r'File "(.+?)", line (\d+)')  # of a traceback
OUT_OF_MEMORY = "OutOfMemoryError"  # torch's, by its name: a plan does without torch

# Whose faults say what they are about: readers of data, and what asks endpoints.
OURS = (Path(benchmarks.__file__).parent, Path(endpoints.__file__).parent)

T = TypeVar("T")
S = TypeVar("S")


def defined_in(path: str | None, kinds: tuple[type[S], type[T]], expected: str) -> tuple[S | T, ...]:
    """Every object of these types that a file defines at its top level; none without a file.

    `expected` says what was looked for, where the file defines none. The module's name holds a hash of the
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
        if _imports.are_tried:
            if b"torch" in Path(path).read_bytes():
                import torch as torch  # else the other process and this one would take its seconds each
            tried_apart(_import_silently, [(path, name)], ["its import"], IMPORT_SECONDS)
        _import(path, name)
    # By what they are: a second name of one object is no second method.
    found = {id(value): value for value in vars(sys.modules[name]).values() if isinstance(value, kinds)}
    objects = tuple(found.values())
    if not objects:
        raise ValueError(f"{path}: defines no {expected}")
    return objects


class _Imports:
    """Whether a file is imported in a process of its own first; in the command alone, not in its workers."""

    are_tried = False


_imports = _Imports()


def try_imports_apart() -> None:
    """From now on a file whose import kills its process is one ValueError line, too."""
    _imports.are_tried = True


def _import(path: str, name: str) -> None:
    """Put the file among the modules, under this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: not a Python file")
    try:
        # A file that goes elsewhere leaves us where we were: our paths are of there.
        with ended(path, "its import", IMPORT_SECONDS), told(path, "its import"), contextlib.chdir("."):
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # while it runs already: a dataclass looks its types up there
            spec.loader.exec_module(module)
    except ValueError:
        sys.modules.pop(name, None)  # half a module would be found the next time
        raise


def _import_silently(path: str, name: str) -> None:
    """The same in a process whose modules nobody needs: what the file prints is for ours."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        _import(path, name)


@contextmanager
def ended(path: str, what: str, seconds: float = SECONDS) -> Iterator[None]:
    """What a file's code has not done in time is one ValueError line."""
    try:
        with in_time(seconds):
            yield
    except TooLong as e:
        raise ValueError(f"{path}{_line(path, e)}: {what}: not done in {seconds} seconds") from None


class _Calling(threading.local):
    """The process in which this thread runs a file's code, 0 in none."""

    process = 0


_calling, _leave = _Calling(), os._exit


def _refused(status: int) -> NoReturn:
    """os._exit, which of a file's code is a fault like sys.exit; a process that it forked ends as ever."""
    if _calling.process == os.getpid():
        raise SystemExit(f"os._exit({status})")
    _leave(status)


def tried_apart(
    attempt: Callable[..., None],
    calls: Sequence[tuple[Any, ...]],
    whats: Sequence[str],
    seconds: float = SECONDS,
) -> None:
    """Try code of files in a process of its own: `attempt(path, ...)` for each call, a module's function, of
    which `whats` says what it does. ValueError for the first that raises one, never returns, or ends its
    process.
    """
    if not calls or (fault := first_fault(attempt, calls, seconds)) is None:
        return
    if fault.trace is None:
        raise ValueError(fault.words)
    path = calls[fault.number][0]
    where = _place(path, ((frame[1], int(frame[2])) for frame in FRAME.finditer(fault.trace)))
    raise ValueError(f"{path}{where}: {whats[fault.number]}: {cut(fault.words, 120)}")


@contextmanager
def told(path: str, what: str) -> Iterator[None]:
    """Whatever a file's code raises while it does `what` is one ValueError line: file, line, what, and why.

    A sys.exit is a fault like any other: it would end the command as if all were done.
    """
    # It stays replaced: of two threads in here the first to leave would take it from the other, and
    # outside of a file's code it ends the process as ever.
    os._exit, before, _calling.process = _refused, _calling.process, os.getpid()
    try:
        yield
    except (shutdown.Terminated, KeyboardInterrupt, TooLong):
        raise
    except BaseException as e:
        # Memory is for whoever computes to mend; and what is told is not told again.
        if type(e).__name__ == OUT_OF_MEMORY or _is_told(e, path):
            raise
        words = cut(f"{type(e).__name__}: {_words(e)}".strip(": "), 120)
        raise ValueError(f"{path}{_line(path, e)}: {what}: {words}") from e
    finally:
        _calling.process = before


def called(of: Callable[..., Any], path: str, what: str) -> Callable[..., Any]:
    """A function of a file, each call of which is `told`."""

    @wraps(of)
    def guarded(*given: Any) -> Any:
        with told(path, what):
            return of(*given)

    return guarded


def _is_told(error: BaseException, path: str) -> bool:
    """Whether an error names the file already, or is one of ours about data or a server."""
    if not isinstance(error, ValueError | OSError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return _words(error).startswith(path) or any(Path(frames[-1].filename).is_relative_to(o) for o in OURS)


def _words(error: BaseException) -> str:
    """What an error says; "" of one of the file's own that cannot say it."""
    try:
        return str(error)
    except Exception:
        return ""


def _line(path: str, error: BaseException) -> str:
    """ ":12", the last line of the file that it came from; "" where it came from none."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.lineno else ""
    frames = traceback.extract_tb(error.__traceback__)
    return _place(path, ((frame.filename, frame.lineno) for frame in reversed(frames)))


def _place(path: str, frames: Iterable[tuple[str, int | None]]) -> str:
    """ ":12", the first of these lines that is of the file; "" where none is."""
    lines = (line for file, line in frames if Path(file).resolve() == Path(path).resolve())
    return next((f":{line}" for line in lines), "")


def digest(path: str) -> str:
    """A hash of the file: part of the identity of what it makes."""
    return sha256(Path(path))[:12]
