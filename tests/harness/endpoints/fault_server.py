"""An OpenAI-compatible server in a process of its own that answers well, but for the faults that it is given.

    python fault_server.py LOG FAULTS.json      prints its port, serves until it is killed

FAULTS.json is a list; the first whose `on` (a text, or some) is in the prompt's last message is played:

    {"on": "boom", "status": 400, "json": {"error": {"message": "No."}}}

    on        "" is in every message; the preflight asks "Say OK."
    where     the path that is asked: "/v1/chat/completions" unless it is given, "" any
    times     of how many requests, the first ones
    with      a field of the request that must be there, else it is not played
    status    200
    headers   beside Content-Type and Content-Length, which they may override
    json      the body, or
    text      the body, in UTF-8, a surrogate as its three bytes, or
    bytes     the body, in hexadecimal, or
    zeros     the body, so many megabytes of 0, packed, or
    reply     the body, a chat completion: {choice: {...}, message: {...}, body: {...}} over a good one
    raw       what is sent in place of a response
    cut       how many bytes are sent before the connection is reset
    drip      seconds between two bytes

Every request is a line of LOG before it is answered: {"path": ..., "played": ..., "body": {...}}.
"""

import gzip
import json
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

KEY, KEY_ENV = "sk-faults-77d1e0a4", "FAULT_SERVER_KEY"
CHAT = "/v1/chat/completions"
Fault = dict[str, Any]


class Running(NamedTuple):
    """A server that is up."""

    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        """What it was sent, in order of arrival."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running(folder: Path, faults: Sequence[Fault], host: str = "127.0.0.1") -> Iterator[Running]:
    """A server with these faults, and its log in a folder."""
    log, plan = folder / "server.jsonl", folder / "faults.json"
    log.touch()
    plan.write_text(json.dumps(faults))
    command = [sys.executable, "-I", "-S", __file__, str(log), str(plan), host]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        shown = f"[{host}]" if ":" in host else host
        yield Running(f"http://{shown}:{int(process.stdout.readline())}/v1", log)
    finally:
        process.kill()
        process.communicate()


def completion(request: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A good chat completion, and over it what a fault says of it."""
    prompt = request["messages"][-1]["content"]
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice["message"] = {"role": "assistant", "content": f"Rating: [[7]]. {len(prompt)}"}
    if request.get("logprobs"):
        top = [{"token": t, "logprob": p} for t, p in (("m", -0.25), ("M", -1.5))]
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
    choice["message"] |= over.get("message", {})
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = {"id": "one", "object": "chat.completion", "created": 0, "model": request["model"]}
    return whole | {"usage": usage, "choices": [choice | over.get("choice", {})]} | over.get("body", {})


class Handler(BaseHTTPRequestHandler):
    """POST of any path, and GET of those that a fault names."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        none = {"status": 404, "json": {"error": {"message": "no such page"}}}
        self._send(next((fault for fault in FAULTS if fault.get("where") == self.path), none), {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][-1]["content"]
        with LOCK:
            number = next(
                (n for n, fault in enumerate(FAULTS) if self._fits(n, fault, prompt, request)), None
            )
            played[number] += 1
            with LOG.open("a") as log:
                log.write(json.dumps({"path": self.path, "played": number, "body": request}) + "\n")
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._send({"status": 401, "json": {"error": {"message": "wrong key"}}}, request)
        elif number is not None:
            self._send(FAULTS[number], request)
        elif self.path != CHAT:
            self._send({"status": 404, "json": {"detail": "Not Found"}}, request)
        else:
            self._send({"reply": {}}, request)

    def _fits(self, number: int, fault: Fault, prompt: str, request: dict[str, Any]) -> bool:
        on = fault.get("on", "")
        place = fault.get("where", CHAT) in ("", self.path)
        there = fault.get("with", "model") in request
        left = played[number] < fault.get("times", sys.maxsize)
        return (
            place and there and left and any(one in prompt for one in ([on] if isinstance(on, str) else on))
        )

    def _send(self, fault: Fault, request: dict[str, Any]) -> None:
        body = _body(fault, request)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        headers |= {"Content-Encoding": "gzip"} if "zeros" in fault else {}
        given = headers | {
            k: v.replace("{host}", self.headers["Host"]) for k, v in fault.get("headers", {}).items()
        }
        lines = [
            f"HTTP/1.1 {fault.get('status', 200)} X",
            *(f"{k}: {v}" for k, v in given.items() if v),
            "",
            "",
        ]
        sent = "\r\n".join(lines).encode("latin-1") + body
        if "raw" in fault:
            sent, self.close_connection = fault["raw"].encode("latin-1"), True
        self.close_connection |= given.get("Connection") == "close"
        try:
            if "drip" in fault:
                for byte in sent:
                    self.wfile.write(bytes([byte]))
                    time.sleep(fault["drip"])
            self.wfile.write(sent[: fault.get("cut")])
            if "cut" in fault:  # a reset, not an orderly end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is the file."""


def _body(fault: Fault, request: dict[str, Any]) -> bytes:
    match fault:
        case {"reply": over}:
            return json.dumps(completion(request, over)).encode()
        case {"json": whole}:
            return json.dumps(whole).encode()
        case {"text": str(text)}:
            return text.encode("utf-8", "surrogatepass")
        case {"bytes": str(hexadecimal)}:
            return bytes.fromhex(hexadecimal)
        case {"zeros": int(megabytes)}:
            return gzip.compress(bytes(megabytes * 2**20))
    return b""


class Server(ThreadingHTTPServer):
    """On IPv6 where the address is one; connections that clients break off are no news."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    LOG, FAULTS, LOCK = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), Lock()
    played: Counter[int | None] = Counter()
    if ":" in sys.argv[3]:
        Server.address_family = socket.AF_INET6
    server = Server((sys.argv[3], 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
