"""Code of a person's own file: whatever it does is a line, and it does not go on for ever."""

import os
import signal
import time
from multiprocessing import connection
from pathlib import Path

import pytest

from harness.common.input.in_time import TooLong, in_time
from harness.suite import extension_file


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "m.py"


def said_of(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ValueError) as fault:
        extension_file.defined_in(str(path), (Path, Path), "Path")
    return str(fault.value).removeprefix(f"{path}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nos._exit(0)", ":2: its import: SystemExit: os._exit(0)"),
        ("class E(BaseException): pass\nraise E('own')", ":2: its import: E: own"),
        ("raise GeneratorExit", ":1: its import: GeneratorExit"),
        ("class E(Exception):\n    __str__ = None\nraise E", ":3: its import: E"),
        ("\0", ": its import: SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_whatever_ends_an_import_is_a_line(written: Path, text: str, said: str) -> None:
    assert said_of(written, text) == said


def test_an_import_that_kills_its_process_is_a_line_of_the_command(
    written: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extension_file._imports, "are_tried", False)  # as it is behind the test
    extension_file.try_imports_apart()
    fault = said_of(written, "import os, signal\n\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert fault == ":3: its import: its process was killed (SIGSEGV)"
    written.write_text("from pathlib import Path\nprint('read')\nX = Path()")
    assert extension_file.defined_in(str(written), (Path, Path), "Path") == (Path(),)
    assert capfd.readouterr().out == "read\n"  # once


def test_last_words_that_come_with_the_end_are_read(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may write them and end between the look at its pipe and that at its end."""
    wait = connection.wait
    monkeypatch.setattr(connection, "wait", lambda asked, timeout=None: wait([*asked][-1:], timeout))
    monkeypatch.setattr(extension_file._imports, "are_tried", True)
    fault = said_of(written, "import os, signal\n\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert fault == ":3: its import: its process was killed (SIGSEGV)"


def test_an_import_without_end_is_a_line(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension_file, "IMPORT_SECONDS", 0.5)
    assert said_of(written, "\nwhile True: pass") == ":2: its import: not done in 0.5 seconds"


def test_an_import_may_take_longer_than_what_is_tried_of_it(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may read libraries from a disk far away."""
    monkeypatch.setattr(extension_file, "SECONDS", 0.5)
    written.write_text("import time\nfrom pathlib import Path\ntime.sleep(0.6)\nX = Path()")
    assert extension_file.defined_in(str(written), (Path, Path), "Path") == (Path(),)


def test_code_that_takes_its_end_for_a_fault_is_told_again(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension_file, "IMPORT_SECONDS", 0.5)
    text = "import time\ntry: time.sleep(9)\nexcept: pass\ntime.sleep(5)"
    assert said_of(written, text) == ":4: its import: not done in 0.5 seconds"


def test_a_limit_within_another_leaves_the_outer_one_its_rest() -> None:
    begun = time.monotonic()
    with pytest.raises(TooLong), in_time(0.4):
        with in_time(9):
            time.sleep(0.2)
        time.sleep(60)
    assert 0.3 < time.monotonic() - begun < 9
    with pytest.raises(TooLong), in_time(0.1):
        with pytest.raises(TooLong), in_time(0.3):
            time.sleep(5)
        time.sleep(5)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_limit_that_ends_in_the_moment_of_its_block_does_not_outlive_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or its alarms would end something else, a second later."""
    limited, before = signal.setitimer, signal.getsignal(signal.SIGALRM)
    calls: list[float] = []

    def interrupted(which: int, seconds: float, again: float = 0.0) -> tuple[float, float]:
        calls.append(seconds)
        if len(calls) == 2:  # which takes the limit away
            raise TooLong
        return limited(which, seconds, again)

    monkeypatch.setattr(signal, "setitimer", interrupted)
    with pytest.raises(TooLong), in_time(60):
        pass
    left = limited(signal.ITIMER_REAL, 0), signal.signal(signal.SIGALRM, before)
    assert left == ((0, 0), before)


def test_an_import_that_goes_elsewhere_leaves_us_where_we_were(written: Path) -> None:
    here = Path.cwd()
    written.write_text("import os\nfrom pathlib import Path\nos.chdir('/')\nX = Path()")
    extension_file.defined_in(str(written), (Path, Path), "Path")
    assert Path.cwd() == here


def test_a_process_that_a_file_forks_ends_as_ever(written: Path) -> None:
    text = "import os\nchild = os.fork()\nif not child: os._exit(7)\n"
    assert said_of(written, f"{text}raise OSError(os.waitpid(child, 0)[1] >> 8)").endswith("OSError: 7")
    with extension_file.told("x", "y"):
        pass
    child = os.fork()
    if not child:
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
