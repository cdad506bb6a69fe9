"""Code of others in a process of its own: how it ends is told, and is not our end."""

import ctypes
import faulthandler
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.common.input import apart
from harness.common.input.apart import Fault, first_fault


def count(path: str, number: int) -> None:
    with Path(path).open("a") as file:
        file.write(f"{number} {os.getpid()}\n")


def refuse(words: str) -> None:
    raise ValueError(words)


def interrupt() -> None:
    raise KeyboardInterrupt


def die_by(number: int) -> None:
    os.kill(os.getpid(), number)


def read_nothing() -> None:
    ctypes.string_at(0)


def read_nothing_after_ray() -> None:
    faulthandler.cancel_dump_traceback_later()  # its thread does not come along with the next fork
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # as ray.shutdown() leaves it, behind faulthandler's back
    fault = first_fault(read_nothing, [()], 60)
    refuse(str(fault and fault.trace))


def leave(code: int) -> None:
    apart._leave(code)


def search(text: str) -> None:
    re.match("(a+)+$", text)  # one call of C, which hears no signal before years are over


def go_on_behind() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


def close_all() -> None:
    sys.stdout.close()
    sys.stderr.close()


def stop_here() -> None:
    breakpoint()


def test_all_calls_are_made_in_one_other_process(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    assert first_fault(count, [(str(file), n) for n in range(3)], 60) is None
    numbers, processes = zip(*(line.split() for line in file.read_text().splitlines()), strict=True)
    assert numbers == ("0", "1", "2") and {*processes} == {processes[0]} and processes[0] != str(os.getpid())


def test_the_first_fault_is_told_and_no_call_behind_it_is_made(tmp_path: Path) -> None:
    assert first_fault(refuse, [("two\nlines \ud800",), ("another",)], 60) == Fault(0, "two\nlines \ud800")


@pytest.mark.parametrize(
    ("call", "given", "words"),
    [
        (die_by, (signal.SIGKILL,), "its process was killed (SIGKILL)"),
        (leave, (3,), "its process ended with exit code 3"),
        (leave, (0,), "its process ended with exit code 0"),
    ],
)
def test_a_process_that_ends_without_a_word_is_a_fault(call: object, given: object, words: str) -> None:
    assert first_fault(call, [given], 60) == Fault(0, words, "")  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("call", "words", "where"),
    [
        (read_nothing, "its process was killed (SIGSEGV)", "in read_nothing"),
        (interrupt, "KeyboardInterrupt()", "in interrupt"),
    ],
)
def test_where_it_was_is_told(call: object, words: str, where: str) -> None:
    fault = first_fault(call, [()], 60)  # type: ignore[arg-type]
    assert fault and fault.words == words and fault.trace
    assert re.search(rf'File ".+test_apart.py", line \d+,? {where}', fault.trace)


def test_where_it_was_is_told_where_another_took_the_place_of_the_handler() -> None:
    fault = first_fault(read_nothing_after_ray, [()], 60)
    assert fault and "in read_nothing\n" in fault.words


def test_what_hears_no_signal_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "GRACE", 1.0)
    begun = time.monotonic()
    fault = first_fault(search, [("a" * 60 + "b",)], 0.5)
    assert fault and fault.words == "not done in 0.5 seconds" and "in search" in str(fault.trace)
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("call", [go_on_behind, close_all, stop_here])
def test_what_would_hold_up_or_hurt_this_process_does_not(call: object) -> None:
    assert first_fault(call, [()], 60) is None  # type: ignore[arg-type]
    assert not sys.stdout.closed
