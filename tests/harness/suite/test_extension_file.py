"""Code of a person's own file: whatever it does is a line, and it does not go on for ever."""

import os
from pathlib import Path

import pytest

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


def test_an_import_without_end_is_a_line(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension_file, "SECONDS", 0.2)
    assert said_of(written, "\nwhile True: pass") == ":2: its import: not done in 0.2 seconds"


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
