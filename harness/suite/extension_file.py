"""Python files of the user's own: those named by --method-file, --benchmark-file and --judge-file."""

import importlib.util
import sys
from pathlib import Path
from typing import TypeVar

from harness.common.files import sha256

T = TypeVar("T")
S = TypeVar("S")


def defined_in(path: str | None, kinds: tuple[type[S], type[T]], expected: str) -> tuple[S | T, ...]:
    """Every object of these types that a file defines at its top level; none without a file.

    `wanted` says what was looked for, where the file defines none. The module's name holds a hash of the
    file: what is pickled in one process is found in another, and an edited file is read anew.
    """
    if path is None:
        return ()
    if not Path(path).is_file():
        raise ValueError(f"no file {path}; it should define {expected}")
    name = f"bench_extension_{digest(path)}"
    # By content, not by path: an edited file is another module, and a second look costs nothing.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # while it runs already: a dataclass looks its types up there
        try:
            spec.loader.exec_module(module)
        except Exception as e:  # whatever a user's file raises is theirs to read, in one line
            del sys.modules[name]  # half a module would be found the next time
            raise ValueError(f"{path}: {type(e).__name__}: {e}") from e
    objects = tuple(value for value in vars(sys.modules[name]).values() if isinstance(value, kinds))
    if not objects:
        raise ValueError(f"{path}: defines no {expected}")
    return objects


def digest(path: str) -> str:
    """A hash of the file: part of the identity of what it makes."""
    return sha256(Path(path))[:12]
