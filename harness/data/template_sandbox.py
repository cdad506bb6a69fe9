"""The one place that runs a chat template: in transformers' sandbox, for seconds, its faults as lines."""

import resource
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.api import Message
from harness.common.input.in_time import TooLong, in_time
from harness.common.text import cut

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

SECONDS = 5  # of one dialogue; real templates take a thousandth of one
ROOM = 2**30  # bytes that a short dialogue may take where memory is limited
STATM = Path("/proc/self/statm")  # Linux's: pages of this process
FILE = "<template>"  # as jinja calls a template in a traceback


class Unrenderable(ValueError):
    """The template refuses these messages, or writes an answer otherwise than it stands in them."""


def run(tokenizer: "Tokenizer", template: str, messages: Sequence[Message], ask: bool) -> str:
    """The messages as a template writes them, with its generation prompt where it is to `ask`; a ValueError
    that is not `Unrenderable` is of all messages.
    """
    from jinja2.exceptions import TemplateError, TemplateSyntaxError

    try:
        # A plan's templates are tried in the main thread before others run them.
        with in_time(SECONDS):
            text = tokenizer.apply_chat_template(
                list(messages), chat_template=template, add_generation_prompt=ask, tokenize=False
            )
    except TooLong:
        raise ValueError(f"the chat template did not end within {SECONDS} seconds") from None
    except TemplateSyntaxError as error:
        words = cut(str(error.message), 120)
        raise ValueError(f"the chat template is broken at line {error.lineno}: {words}") from error
    except (TemplateError, TypeError) as error:
        raise Unrenderable(f"the chat template refuses: {cut(str(error), 120)}") from error
    except Exception as error:  # of a filter, of Python's own limits, of loops nested too deep to compile
        raise Unrenderable(f"the chat template refuses{_line(error)}: {_words(error)}") from error
    return str(text)


def _words(error: BaseException) -> str:
    return cut(f"{type(error).__name__}: {error}".removesuffix(": "), 120)


def _line(error: BaseException) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return f" at line {lines[-1]}" if lines else ""


@contextmanager
def little_memory() -> Iterator[None]:
    """A template that makes gigabytes of a word gets a MemoryError here; for a process that does nothing
    else, as all of it is held to the limit.
    """
    if not STATM.is_file():  # other systems say otherwise what a process has
        yield
        return
    pages = int(STATM.read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + ROOM
    if before[1] == resource.RLIM_INFINITY or most < before[1]:
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
