"""A case as a command, and what is wrong with how it ended."""

import copy
import gzip
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from harness.store.integrity import RECORD
from tests import bench_command
from tests.fuzz.cases import HEAD, Case, Ending, expanded
from tests.fuzz.makers import MAKERS
from tests.harness.endpoints import fault_server
from tests.harness.endpoints.fault_server import KEY, KEY_ENV
from tests.paths import TINY

LONGEST = 300  # characters of a line
OF_OURS = "a fault of bench itself"  # what is said in the place of a traceback
BENCH = (sys.executable, *bench_command.COMMAND[1:])
SECONDS = 180  # until a command hangs
PLAN = ("run", "suite.yaml", "--plan")
METHOD = (
    *PLAN[:-1],
    "--method-file",
    "m.py",
    "--set=methods={SFT: {}}",
    "--set=benchmarks={rule: {data: world/test}}",
)
SHIPPED: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(TINY))
ASKED: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(__file__).with_name("endpoint.yaml"))


class Ended(NamedTuple):
    """How a command ended: -9 as its code says that it was killed, as it did not end by itself."""

    code: int
    out: str
    err: str
    worked: bool  # whether a step was made


class Judged(NamedTuple):
    """How a case ended: None as it should, else the kind of fault, and what shows it."""

    ending: Ending | None
    shown: str


def run(case: Case, folder: Path) -> Ended:
    """Run a case in a folder of its own, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = PLAN if case.method is None else METHOD
    plan = plan if case.serve is None else PLAN[:-1]
    words = expanded(case.words) or (*plan, *(f"--set={given}" for given in expanded(case.set)))
    command = _forked if not case.process else _started
    with _serving(case, folder) as host:
        _lay_out(case, folder, host)
        words = tuple(word.replace("{host}", host) for word in words)
        env = {"BENCH_RUNS": "runs", KEY_ENV: KEY, **case.env}
        store = folder / "runs" / "store"
        laid_out = set(store.rglob(RECORD))
        shell = _in_shell(expanded(case.shell)) if case.shell else None
        code, out, err = _ended(shell, folder, env) if shell else command(words, folder, env)
    return Ended(code, out, err, bool(set(store.rglob(RECORD)) - laid_out))


def judged(case: Case, ended: Ended) -> Judged:
    """What is wrong with an end: the worst of it."""
    lines = ended.err.strip().splitlines()
    line = lines[-1] if lines else ""
    missing = [word for word in expanded(list(case.said)) if word not in ended.err + ended.out]
    found: Ending | None = None
    if ended.code == -9:
        found = "hang"
    elif "Traceback" in ended.err or OF_OURS in ended.err:
        found = "traceback"
    elif ended.code < 0 or "Aborted" in ended.err:
        found = "abort"
    elif case.code == 0:
        found = "code" if ended.code else "silent" if missing else None
    elif ended.code == 0 or (ended.worked and case.code == 2 and not case.why):
        found = "nonsense"
    elif not line:
        found = "silent"
    elif ended.code != case.code:
        found = "code"
    elif len(line) >= LONGEST or len(lines) > 1:
        found = "long"
    elif missing:
        found = "no key"
    return Judged(found, f"exit {ended.code}; lacks {missing}; {len(line)}: {line[:400]}" if found else "")


@contextmanager
def _serving(case: Case, folder: Path) -> Iterator[str]:
    """The address of the server that plays a case's faults; "" where it has none."""
    if case.serve is None:
        yield ""
        return
    with fault_server.running(folder, expanded(list(case.serve))) as server:
        yield urlsplit(server.url).netloc


def _lay_out(case: Case, folder: Path, host: str) -> None:
    """The files of a case; `host` is the address of its server."""
    base = SHIPPED if case.serve is None else ASKED
    text = expanded(case.text) if case.text is not None else None
    if text is not None:
        (folder / "suite.yaml").write_bytes(text.encode(case.encoding))
    else:
        with (folder / "suite.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump(_changed(base, expanded(case.suite)), file)
    if host:
        MAKERS["questions"](folder)
        (folder / "suite.yaml").write_text((folder / "suite.yaml").read_text().replace("{host}", host))
    if case.method is not None:
        (folder / "m.py").write_text(HEAD + expanded(case.method))
    for name in case.make:
        MAKERS[name](folder)
    for name, content in expanded(case.files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content.replace("HEAD\n", HEAD, 1) if path.suffix == ".py" else content
        path.write_bytes(text.encode(case.encoded.get(name, "utf-8")))
    for name, keys in expanded(case.keys).items():
        about = json.loads((folder / name).read_text()) | keys
        (folder / name).write_text(
            json.dumps({key: value for key, value in about.items() if value is not None})
        )
    for name in case.packed:
        (folder / name).write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
    for name, kept in case.kept.items():
        (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    for name, place in case.flipped.items():
        held = bytearray((folder / name).read_bytes())
        held[place] ^= 0xFF
        (folder / name).write_bytes(held)


def _changed(base: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """A suite with other values at keys with dots."""
    suite = copy.deepcopy(base)
    for key, value in keys.items():
        *parents, last = key.split(".")
        part = suite
        for name in parents:
            part = part.setdefault(name, {})
        if value is None:
            part.pop(last, None)
        else:
            part[last] = value
    return suite


def _forked(words: tuple[str, ...], folder: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """In a process forked from one that has imported the libraries."""
    running = bench_command.start(*words, folder=folder, cwd=folder, **env)
    running.process.join(SECONDS)
    if running.process.exitcode is None:
        running.process.kill()
        running.process.join()
    code = running.process.exitcode
    assert code is not None
    return code, running.out.read_text(errors="replace"), running.err.read_text(errors="replace")


def _started(words: tuple[str, ...], folder: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """In a process from nothing."""
    return _ended((*BENCH, *words), folder, env)


def _in_shell(line: str) -> tuple[str, ...]:
    """A line of bash, in which `bench` is the command."""
    return "bash", "-c", f'bench() {{ {shlex.join(BENCH)} "$@"; }}; {line}'


def _ended(command: tuple[str, ...], folder: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """The code of a process from nothing, and what it printed."""
    surroundings = {**bench_command.ENV, **env}
    process = subprocess.Popen(
        command, cwd=folder, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out, err
