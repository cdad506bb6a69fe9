"""Managed servers: the life of real processes, a stand-in for vllm among them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from harness.endpoints.servers import Servers, ServerSpec

STAND_IN = """#!{python} -IS
import json, os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

here = os.path.dirname(os.path.abspath(__file__))
model, port = sys.argv[2], int(sys.argv[sys.argv.index("--port") + 1])
with open(os.path.join(here, "started"), "a") as f:
    f.write(model + "\\n")
if model == "dies":
    print("loading\\n\\nCUDA out of memory", file=sys.stderr)
    sys.exit(3)
if model == "never-up":
    print("still loading", flush=True)
    time.sleep(600)
if model == "unlucky" and open(os.path.join(here, "started")).read().count("unlucky") < 3:
    sys.exit("[Errno 98] error while attempting to bind on address: Address already in use")
if model == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
waits = [sys.executable, "-c", "import time; time.sleep(600)"]
worker = subprocess.Popen(waits, start_new_session=model == "strays")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"args": sys.argv[1:], "pids": [os.getpid(), worker.pid]}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        os._exit(9)

ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

HOLDER = """
import json, sys, time
from pathlib import Path
from harness.endpoints.servers import Servers, ServerSpec

with Servers(Path(sys.argv[1])) as servers:
    print(json.dumps(servers.url(ServerSpec("vllm", sys.argv[2]))), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a `vllm` that starts at once; "started" in it lists the models it was given."""
    script = tmp_path / "bin" / "vllm"
    script.parent.mkdir()
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    return script.parent


def told(url: str) -> dict[str, Any]:
    """What the stand-in says of itself."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/", timeout=60) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def processes(url: str) -> list[psutil.Process]:
    """The server, its worker, and its supervisor."""
    server, worker = (psutil.Process(pid) for pid in told(url)["pids"])
    supervisor = server.parent()
    assert supervisor is not None
    return [server, worker, supervisor]


def ended(those: list[psutil.Process], within: float = 30.0) -> bool:
    """Whether all are gone in time; one that only waits for its exit status to be read is."""
    until = time.monotonic() + within
    while any(map(alive, those)):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_spec_that_is_asked_for_twice_is_served_once(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path / "logs") as servers:
        urls = [servers.url(ServerSpec("vllm", model)) for model in ("a", "b", "a")]
        assert urls[0] == urls[2] != urls[1]
        assert (vllm / "started").read_text().split() == ["a", "b"]
        assert len(list((tmp_path / "logs").iterdir())) == 2


def test_threads_that_ask_at_once_share_a_server_that_outlives_them(vllm: Path, tmp_path: Path) -> None:
    """A death signal tied to a parent's thread would end the server with the thread that started it."""
    urls: list[str] = []
    with Servers(tmp_path) as servers:
        spec = ServerSpec("vllm", "a")
        threads = [Thread(target=lambda: urls.append(servers.url(spec))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.5)
        assert set(urls) == {servers.url(spec)} and len(urls) == 4
        assert told(urls[0])["pids"]
    assert (vllm / "started").read_text().split() == ["a"]


def test_leaving_by_an_exception_leaves_no_process(vllm: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Servers(tmp_path) as servers:
        those = processes(servers.url(ServerSpec("vllm", "a")))
        raise KeyboardInterrupt
    assert ended(those, within=0)


def test_a_server_that_ignores_sigterm_is_killed(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        those = processes(servers.url(ServerSpec("vllm", "stubborn")))
    assert ended(those, within=0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("model", ["a", "strays"])
def test_no_orphan_is_left_whatever_ends_this_process(
    vllm: Path, tmp_path: Path, number: signal.Signals, model: str
) -> None:
    """The worker of "strays" has left the server's session. (macOS could not find it.)"""
    if model == "strays" and sys.platform != "linux":
        pytest.skip("only Linux tells who left a session")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "logs"), model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        those = processes(json.loads(holder.stdout.readline()))
        assert all(map(alive, those))
        holder.send_signal(number)
        holder.wait(60)
        assert ended(those)


def test_no_orphan_is_left_when_this_process_is_killed_while_the_server_loads(
    vllm: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "logs"), "never-up"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as holder:
        parent = psutil.Process(holder.pid)
        those: list[psutil.Process] = []
        while len(those) < 2:  # supervisor and server
            those = parent.children(recursive=True)
            time.sleep(0.05)
        holder.kill()
        assert ended(those)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_server_ends_with_its_supervisor(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        spec = ServerSpec("vllm", "a")
        server, worker, supervisor = processes(servers.url(spec))
        supervisor.kill()
        assert ended([server])
        with pytest.raises(OSError, match=r"^vllm serve a: died, status -9"):
            servers.url(spec)
        worker.kill()


def test_a_server_that_dies_is_one_line_with_the_end_of_its_log(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path / "logs") as servers, pytest.raises(OSError) as caught:
        servers.url(ServerSpec("vllm", "dies"))
    (log,) = (tmp_path / "logs").iterdir()
    assert str(caught.value) == (
        f"vllm serve dies: died, status 3; the end of {log}: loading | CUDA out of memory"
    )
    assert (vllm / "started").read_text().split() == ["dies"]


def test_a_server_that_died_since_is_not_given_out(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        url = servers.url(ServerSpec("vllm", "a"))
        those = processes(url)
        with pytest.raises(OSError):
            urllib.request.urlopen(url, data=b"", timeout=60)
        assert ended(those)
        with pytest.raises(OSError, match=r"^vllm serve a: died, status 9; the end of .*: "):
            servers.url(ServerSpec("vllm", "a"))


def children() -> set[int]:
    """The processes below this one; other tests may have left some of multiprocessing's."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_a_server_that_does_not_come_up_in_time_is_stopped(vllm: Path, tmp_path: Path) -> None:
    before = children()
    with Servers(tmp_path, time_limit=2.5) as servers:
        with pytest.raises(OSError, match=r"never-up: no answer within 2\.5 s; .*: still loading$"):
            servers.url(ServerSpec("vllm", "never-up"))
        assert children() <= before


def test_closing_stops_a_server_that_another_thread_is_starting(vllm: Path, tmp_path: Path) -> None:
    servers, caught, before = Servers(tmp_path), [], children()

    def ask() -> None:
        try:
            servers.url(ServerSpec("vllm", "never-up"))
        except OSError as e:
            caught.append(str(e))

    thread = Thread(target=ask)
    thread.start()
    while not (vllm / "started").exists():
        time.sleep(0.02)
    servers.close()
    thread.join(60)
    assert caught == ["vllm serve never-up: stopped before it was up"]
    assert children() <= before


def test_a_port_that_was_taken_meanwhile_is_chosen_again(vllm: Path, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        assert told(servers.url(ServerSpec("vllm", "unlucky")))["args"][1] == "unlucky"
    assert (vllm / "started").read_text().split() == ["unlucky"] * 3


def test_what_another_program_answers_on_the_port_is_not_taken_for_the_server(
    vllm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Servers(tmp_path) as others:
        port = int(others.url(ServerSpec("vllm", "a")).removesuffix("/v1").rsplit(":", 1)[1])
        monkeypatch.setattr("harness.endpoints.servers._free_port", lambda: port)
        with (
            Servers(tmp_path, time_limit=1.0) as servers,
            pytest.raises(OSError, match="never-up: no answer within 1 s"),
        ):
            servers.url(ServerSpec("vllm", "never-up"))
        with (
            Servers(tmp_path) as servers,
            pytest.raises(OSError, match=r"b: died, status 1; .*Address already in use"),
        ):
            servers.url(ServerSpec("vllm", "b"))


def test_vllm_is_told_what_the_spec_says(vllm: Path, tmp_path: Path) -> None:
    spec = ServerSpec("vllm", "org/judge", "bfloat16", 4096, ("--tensor-parallel-size", "2"))
    with Servers(tmp_path) as servers:
        url = servers.url(spec)
        port = url.removesuffix("/v1").rsplit(":", 1)[1]
        assert told(url)["args"] == (
            f"serve org/judge --host 127.0.0.1 --port {port} --dtype bfloat16 --generation-config vllm"
            " --max-model-len 4096 --tensor-parallel-size 2"
        ).split(" ")


def test_an_engine_that_is_not_installed_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Servers(tmp_path) as servers:
        with pytest.raises(ValueError, match="pip install vllm"):
            servers.url(ServerSpec("vllm", "a"))
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        with pytest.raises(ValueError, match=r'pip install "transformers\[serving\]"'):
            servers.url(ServerSpec("transformers", "a"))


def test_a_spec_that_no_engine_can_serve_is_refused() -> None:
    for engine, model, limit, match in (
        ("vlm", "a", None, "no engine 'vlm'; known: transformers, vllm"),
        ("transformers", "a", 512, "max_model_len 512"),
        ("transformers", "runs@host/a", None, "revision"),
    ):
        with pytest.raises(ValueError, match=match):
            ServerSpec(engine, model, max_model_len=limit)  # type: ignore[arg-type]
