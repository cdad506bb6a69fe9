"""`bench view`: the page of a run, served by a real process and asked for over a real connection."""

import os
import signal
import socket
import struct
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.cli.view import Server, own_names
from tests.bench_command import COMMAND, ENV, bench

PAGE = "<!doctype html><title>the page</title>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "results.jsonl").write_text("")
    return folder


@pytest.fixture
def served(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    (run / "report.html").write_text(PAGE)
    command = [*COMMAND, "view", "toy", "--runs", str(run.parent)]
    env = {**ENV, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    yield process, line.split()[1]
    process.kill()
    process.wait()


def test_the_page_and_nothing_else_is_served_until_ctrl_c(served: tuple[subprocess.Popen[str], str]) -> None:
    process, address = served
    assert address.startswith("http://127.0.0.1:")
    for path in ("", "report.html", "?x=1"):
        with urllib.request.urlopen(address + path) as reply:
            assert reply.read().decode() == PAGE
    for path in ("results.jsonl", "../toy/results.jsonl", "%2e%2e/toy/report.html", "tables/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("name", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_page_of_elsewhere_cannot_read_it_under_a_name_of_its_own(
    served: tuple[subprocess.Popen[str], str], name: str
) -> None:
    """DNS rebinding: a name of the attacker's leads to 127.0.0.1, and the browser sends that name."""
    _, address = served
    port = urllib.parse.urlsplit(address).port
    asked = urllib.request.Request(address, headers={"Host": name.format(port=port)})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(asked)
    here = urllib.request.Request(address, headers={"Host": f"localhost:{port}"})
    with urllib.request.urlopen(here) as reply:
        assert reply.read().decode() == PAGE


def test_a_browser_leaves_out_the_port_of_all_pages() -> None:
    assert own_names(80) == {"127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80"}
    assert own_names(8080) == {"127.0.0.1:8080", "localhost:8080"}


def test_a_run_without_a_page_is_one_line_that_says_how_to_write_it(run: Path) -> None:
    done = bench("view", "toy", "--runs", str(run.parent))
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert f"toy has no report.html; write it with `bench report {run} --format html`" in done.stderr


def test_a_link_in_the_page_s_place_is_not_followed(
    run: Path, served: tuple[subprocess.Popen[str], str]
) -> None:
    """Whoever writes to a shared folder could have any file of its reader's shown."""
    _, address = served
    (run / "report.html").unlink()
    (run / "report.html").symlink_to("/etc/hostname")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address)
    done = bench("view", "toy", "--runs", str(run.parent))
    assert done.returncode == 2 and "toy has no report.html" in done.stderr


def test_a_pipe_in_the_page_s_place_is_not_waited_for(
    run: Path, served: tuple[subprocess.Popen[str], str]
) -> None:
    _, address = served
    (run / "report.html").unlink()
    os.mkfifo(run / "report.html")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address, timeout=60)


@pytest.mark.parametrize(
    "fault, told",
    [(ValueError("ours"), "ValueError: ours"), (ConnectionResetError(), ""), (TimeoutError(), "")],
)
def test_a_fault_of_ours_is_told_and_a_reader_who_leaves_is_not(
    fault: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        try:
            raise fault
        except type(fault):
            server.handle_error(None, ("127.0.0.1", 1))
    errors = capsys.readouterr().err
    assert told in errors and bool(errors) == bool(told)


def test_a_reader_who_leaves_is_no_news_and_two_names_are_none(
    served: tuple[subprocess.Popen[str], str],
) -> None:
    process, address = served
    port = int(urllib.parse.urlsplit(address).port or 0)
    host = f"Host: 127.0.0.1:{port}\r\n"
    for _ in range(3):
        left = socket.create_connection(("127.0.0.1", port))
        left.sendall(f"GET / HTTP/1.1\r\n{host}\r\n".encode())
        left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        left.close()
    with socket.create_connection(("127.0.0.1", port)) as two:
        two.sendall(f"GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n".encode())
        assert two.recv(100).startswith(b"HTTP/1.0 421")
    with urllib.request.urlopen(address) as reply:
        assert reply.headers["X-Frame-Options"] == "DENY" and reply.read().decode() == PAGE
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
