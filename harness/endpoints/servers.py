"""OpenAI-compatible servers that are started when a model is first asked for and stopped at the end.

    with Servers(Path("runs/logs")) as servers:
        url = servers.url(ServerSpec("transformers", "runs/judge"))  # "http://127.0.0.1:41735/v1"

`transformers serve` (`pip install "transformers[serving]"`) and `vllm serve` are run alike: on a free port of
the loopback address, under a supervisor (common/supervisor.py) that ends them with this process, however it
ends. Requests name the model as the spec does. What the two make of a chat request:

    field                  transformers 5.23                          vllm
    messages               the tokenizer's chat template              the same
    temperature 0          greedy                                     greedy
    temperature > 0        greedy unless `request_extras` are sent    sampled
    top_p, max_tokens      honoured                                   honoured
    stop                   honoured                                   honoured
    seed                   of the whole process: concurrent requests  of the request
                           draw from one stream
    logprobs, top_logprobs dropped, with a warning in the log         honoured
    n, response_format,    dropped, with a warning in the log         honoured
    presence_penalty
    a prompt too long      answered all the same                      refused, status 400

Both stop at the model's own end-of-sequence tokens and say finish_reason "length" where max_tokens cut.
"""

import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any, Literal, Self

import psutil

from harness.common import supervisor as supervision

Engine = Literal["transformers", "vllm"]
Process = subprocess.Popen[bytes]
ENGINE, ARGUMENTS = "engine", "arguments"  # keys of a step's endpoint: what serves it, and how it is started
SERVER = "served_by"  # key of a step's context: the two, of a server that answers in the step's place

HOST = "127.0.0.1"
TIME_LIMIT = 900.0  # seconds until a server answers; a large model is read from disk meanwhile
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_UNTIL_KILL = 5.0  # that a server has between SIGTERM and SIGKILL
SECONDS_TO_STOP = 60.0  # that a supervisor has, which on a busy machine needs some to end all processes
SECONDS_TO_END = 10.0  # in which a server that breaks connections is seen to have died
PORTS = 3  # a port may be taken between its choice and its use: how many to try
TAKEN = "address already in use"
LAST_LINES = 5


@dataclass(frozen=True)
class ServerSpec:
    """What is served. model: a folder or a hub id; dtype: a torch dtype's name, "auto" for the engine's own.

    max_model_len (tokens) bounds prompt and answer together; `transformers serve` knows no such limit.
    `extra` are further arguments of the engine's command line.
    """

    engine: Engine
    model: str
    dtype: str = "auto"
    max_model_len: int | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.engine not in ("transformers", "vllm"):
            raise ValueError(f"no engine {self.engine!r}; known: transformers, vllm")
        if self.engine == "transformers" and self.max_model_len is not None:
            raise ValueError(f"max_model_len {self.max_model_len}: only vllm has it, not transformers serve")
        if self.engine == "transformers" and "@" in self.model:
            raise ValueError(f"model {self.model!r}: transformers serve takes what follows @ for a revision")


def is_served_here(where: Mapping[str, Any] | None) -> bool:
    """Whether what a step asks is a server that is started where the step runs; None: it asks nothing."""
    return where is not None and ENGINE in where


def server_of(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The engine and the arguments of the server that a step starts; None: it starts none."""
    endpoint: Mapping[str, Any] | None = context.get("endpoint")
    return endpoint if is_served_here(endpoint) else context.get(SERVER)


def gives_logprobs(engine: Engine) -> bool:
    """Whether the engine's chat completions carry top_logprobs: AlpacaEval 2's judge must have them."""
    return engine == "vllm"


def request_extras(engine: Engine, temperature: float) -> dict[str, Any]:
    """Fields that a chat request to the engine carries besides OpenAI's, so that it decodes as asked.

    `transformers serve` decodes as the model's generation_config.json says where a request is silent, and a
    request of OpenAI's kind cannot ask it to sample. vllm is started without that file.
    """
    if engine == "vllm":
        return {}
    settings = {"do_sample": temperature > 0, "repetition_penalty": 1.0}
    return {"generation_config": json.dumps(settings | ({"top_k": 0} if temperature > 0 else {}))}


@dataclass(frozen=True)
class _Running:
    supervisor: Process
    url: str
    log: Path


class Servers:
    """The servers of this process, one a spec; `logs` is the folder of their logs, one file a spec.

    Leaving the context, by an exception or Ctrl-C too, stops them; so does the end of this process, whatever
    its kind. `time_limit` is the seconds that one may take until it answers.
    """

    def __init__(self, logs: Path, *, time_limit: float = TIME_LIMIT) -> None:
        self._logs = logs
        self._time_limit = time_limit
        self._running: dict[ServerSpec, _Running] = {}
        self._lock = Lock()
        self._closing = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, spec: ServerSpec) -> str:
        """The base URL of a server of the spec, "http://127.0.0.1:<port>/v1"; started if it is not up.

        One that cannot be started, does not answer in time, or has died since is one line of an OSError,
        with the end of its log; an engine that is not installed is a ValueError. Servers are started one at
        a time: two that measure a GPU's free memory at once would both take it.
        """
        with self._lock:
            if self._closing.is_set():
                raise OSError(f"{spec.engine} serve {spec.model}: the servers of this run are stopped")
            if spec not in self._running:
                self._running[spec] = self._started(spec)
            running = self._running[spec]
            if running.supervisor.poll() is not None:
                raise OSError(_failure(spec, f"died, status {running.supervisor.returncode}", running.log))
            return running.url

    def ended(self, spec: ServerSpec) -> str:
        """How the server of the spec ended, where it has or is about to; "" where it is up."""
        try:
            return f"died, status {self._running[spec].supervisor.wait(SECONDS_TO_END)}"
        except subprocess.TimeoutExpired:
            return ""

    def failure(self, spec: ServerSpec, what: str) -> str:
        """One line on what is wrong with the server of the spec, with the end of its log."""
        return _failure(spec, what, self._running[spec].log)

    def stop(self, spec: ServerSpec) -> None:
        """Stop the server of the spec, if there is one, so that what it holds of the device is free."""
        with self._lock:
            if running := self._running.pop(spec, None):
                running.supervisor.terminate()
                _wait(running.supervisor)

    def close(self) -> None:
        """Stop all servers, and those that are being started; none can be had any more."""
        self._closing.set()
        with self._lock:
            supervisors = [running.supervisor for running in self._running.values()]
            self._running.clear()
            for supervisor in supervisors:
                supervisor.terminate()
            for supervisor in supervisors:
                _wait(supervisor)

    def _started(self, spec: ServerSpec) -> _Running:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / _log_name(spec)
        for _ in range(PORTS - 1):
            try:
                return self._tried(spec, log)
            except OSError as e:
                if TAKEN not in str(e).lower():
                    raise
        return self._tried(spec, log)

    def _tried(self, spec: ServerSpec, log: Path) -> _Running:
        port = _free_port()
        command = _command(spec, port)
        with log.open("wb") as out:
            supervisor = supervision.start(
                command, SECONDS_UNTIL_KILL, out, {"HF_HUB_DISABLE_UPDATE_CHECK": "1"}
            )
        try:
            self._until_healthy(spec, supervisor, port, log)
        except BaseException:
            supervisor.terminate()
            _wait(supervisor)
            raise
        return _Running(supervisor, f"http://{HOST}:{port}/v1", log)

    def _until_healthy(self, spec: ServerSpec, supervisor: Process, port: int, log: Path) -> None:
        until = time.monotonic() + self._time_limit
        while not (_healthy(port) and _listens(supervisor.pid, port)):
            if self._closing.is_set():
                raise OSError(f"{spec.engine} serve {spec.model}: stopped before it was up")
            if supervisor.poll() is not None:
                raise OSError(_failure(spec, f"died, status {supervisor.returncode}", log))
            if time.monotonic() > until:
                raise OSError(_failure(spec, f"no answer within {self._time_limit:g} s", log))
            time.sleep(SECONDS_BETWEEN_LOOKS)


def program_of(engine: Engine) -> str:
    """The engine's script, the one beside this Python before any other; ValueError where it is not there."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which(engine, path=path)
    if engine == "vllm" and program is None:
        raise ValueError("no `vllm` here: pip install vllm, or put the one of another environment on PATH")
    if program is None or (
        engine == "transformers" and not all(map(importlib.util.find_spec, ("fastapi", "uvicorn")))
    ):
        raise ValueError('transformers serve lacks what it needs: pip install "transformers[serving]"')
    return program


def _command(spec: ServerSpec, port: int) -> list[str]:
    """The engine's command line."""
    program, address = program_of(spec.engine), ["--host", HOST, "--port", str(port)]
    command = [program, "serve", spec.model, *address, "--dtype", spec.dtype]
    if spec.engine == "vllm":  # decode by the request alone, not by generation_config.json
        command += ["--generation-config", "vllm"]
    if spec.max_model_len is not None:
        command += ["--max-model-len", str(spec.max_model_len)]
    return [*command, *spec.extra]


def _free_port() -> int:
    with socket.socket() as s:
        s.bind((HOST, 0))
        return int(s.getsockname()[1])


def _healthy(port: int) -> bool:
    """Whether GET /health says 200. (transformers' /v1/models fails where there is no hub cache.)"""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)  # no proxy, whatever the environment says
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(supervisor: int, port: int) -> bool:
    """Whether a process under the supervisor has the port: what answers may be another program's server."""
    try:
        children = psutil.Process(supervisor).children(recursive=True)
        sockets = [s for child in children for s in child.net_connections("tcp")]
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr and s.laddr.port == port for s in sockets)


def _wait(supervisor: Process) -> None:
    """Wait for a supervisor that was told to stop; one that does not is killed, and its server with it."""
    try:
        supervisor.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _failure(spec: ServerSpec, what: str, log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    end = " | ".join([line[:300] for line in lines if line][-LAST_LINES:])
    return f"{spec.engine} serve {spec.model}: {what}; the end of {log}: {end or '(empty)'}"


def _log_name(spec: ServerSpec) -> str:
    """One file a spec and process: runs may share the folder."""
    model = re.sub(r"[^A-Za-z0-9.-]+", "_", spec.model.rstrip("/").rsplit("/", 1)[-1])
    digest = hashlib.sha256(repr(astuple(spec)).encode()).hexdigest()[:8]
    return f"{spec.engine}-{model}-{digest}.{os.getpid()}.log"
