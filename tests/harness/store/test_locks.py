"""Locks: one process at a time, a dead one's lock is had by exactly one of those who want it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.store import locks as locks_module
from harness.store.locks import Locks

HOLD = """
import sys, time
from pathlib import Path
from harness.store.locks import Locks
with Locks(Path(sys.argv[1])).trying("a") as ours:
    print(ours, flush=True)
    time.sleep(600)
"""
RACE = """
import sys
from pathlib import Path
from harness.store.locks import Locks
print("ready", flush=True)
sys.stdin.readline()
with Locks(Path(sys.argv[1])).trying("a") as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def started(code: str, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_a_lock_is_had_once_and_again_when_it_is_released(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with locks.trying("a") as first, locks.trying("a") as second, locks.trying("b") as other:
        assert (first, second, other) == (True, False, True)
        assert set(locks.held()) == {"a", "b"}
    assert not list(tmp_path.iterdir())
    with locks.trying("a") as again:
        assert again


def test_the_lock_of_a_killed_process_of_this_host_is_free_at_once(tmp_path: Path) -> None:
    child, locks = started(HOLD, str(tmp_path)), Locks(tmp_path)
    assert said(child) == "True" and locks.holder("a")
    with locks.trying("a") as ours:
        assert not ours
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    assert locks.holder("a") is None
    with locks.trying("a") as ours:
        assert ours
    assert not list(tmp_path.iterdir())


def from_another_host(folder: Path, silent: float) -> None:
    owner = {"host": "elsewhere", "space": "", "pid": 1, "born": 0.0, "token": "t"}
    (folder / "a").write_text(json.dumps(owner))
    touched = time.time() - silent
    os.utime(folder / "a", (touched, touched))


def test_of_another_host_the_heartbeat_alone_decides(tmp_path: Path) -> None:
    locks = Locks(tmp_path, stale=10.0)
    from_another_host(tmp_path, silent=5.0)
    with locks.trying("a") as ours:
        assert not ours
    from_another_host(tmp_path, silent=15.0)
    with locks.trying("a") as ours:
        assert ours and locks.holder("a")


def test_of_many_that_take_over_a_dead_lock_at_once_one_wins(tmp_path: Path) -> None:
    from_another_host(tmp_path, silent=100.0)
    takers = [started(RACE, str(tmp_path)) for _ in range(6)]
    assert [said(child) for child in takers] == ["ready"] * 6
    for child in takers:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    won = [said(child) for child in takers]
    for child in takers:
        child.communicate()

    assert sorted(won) == ["False"] * 5 + ["True"]
    assert not list(tmp_path.iterdir())


def test_a_taker_that_died_half_way_is_no_obstacle_for_good(tmp_path: Path) -> None:
    from_another_host(tmp_path, silent=100.0)
    claim = tmp_path / "a.claim.t"
    claim.touch()
    locks = Locks(tmp_path, stale=10.0)
    with locks.trying("a") as ours:
        assert not ours and claim.exists()
    os.utime(claim, (0, 0))
    with locks.trying("a") as ours:
        assert not ours
    with locks.trying("a") as ours:
        assert ours


@pytest.mark.parametrize("another", [True, False])
def test_a_taker_that_slept_until_its_claim_was_dropped_has_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another: bool
) -> None:
    """Another one dropped it as stale, and has made a claim of its own or not yet."""
    from_another_host(tmp_path, silent=100.0)
    claim, created = tmp_path / "a.claim.t", locks_module._created

    def asleep(path: Path) -> int:
        opened = created(path)
        path.unlink()
        if another:
            path.write_text("theirs")
        return opened

    monkeypatch.setattr(locks_module, "_created", asleep)
    with Locks(tmp_path).trying("a") as ours:
        assert not ours
    assert [path.read_text() for path in tmp_path.glob(claim.name)] == ["theirs"] * another


@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_while_a_lock_begins_to_beat_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    before, start = threading.active_count(), threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), Locks(tmp_path).trying("a"):
        pass
    assert not list(tmp_path.iterdir()) and threading.active_count() == before


def test_what_the_dead_left_is_swept_and_what_lives_stays(tmp_path: Path) -> None:
    from_another_host(tmp_path, silent=100.0)
    (tmp_path / "probe.claim.1").touch()
    os.utime(tmp_path / "probe.claim.1", (0, 0))
    (tmp_path / "c.claim.t").touch()
    locks = Locks(tmp_path, stale=60.0)
    with locks.trying("b"):
        locks.sweep()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c.claim.t"]
    torn = tmp_path / "b"
    torn.write_text("tor")
    for left in (torn, tmp_path / "c.claim.t"):
        os.utime(left, (0, 0))
    locks.sweep()
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_process_that_lives_keeps_beating(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("harness.store.locks.BEAT", 0.05)
    with Locks(tmp_path).trying("a"):
        os.utime(tmp_path / "a", (0, 0))
        until = time.monotonic() + 60
        while (tmp_path / "a").stat().st_mtime < 1 and time.monotonic() < until:
            time.sleep(0.05)
        assert (tmp_path / "a").stat().st_mtime > time.time() - 60
