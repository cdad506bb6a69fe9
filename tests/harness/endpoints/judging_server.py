"""An OpenAI-compatible server in a process of its own that judges, and answers as a model does.

    python judging_server.py LOG [REPLAY]      prints its port, serves until it is killed

It reads off the prompt which benchmark asks, and gives a verdict of the benchmark's form that depends on the
prompt alone. Of its models `mute` gives no log-probs, `marked` writes " m" for "m", `chatty` begins with no
name at all, `narrow` has a context of 200 tokens, a word each, which it refuses to pass as vLLM does, `moody`
gives no answer to some prompts, `thinker` thinks aloud, `noisy` draws its verdict anew for each seed of a
request, `echo` repeats the key that it was sent, and `cut` and `quoting` judge as they are called.
Every request is a line of LOG before it is answered.
REPLAY is a JSON file: prompt -> [text, log-probs of the first token], what a real judge once said to it.
"""

import base64
import hashlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

KEY, KEY_ENV = "sk-judging-81c0", "JUDGING_SERVER_KEY"
LOGIN = base64.b64encode(f"me:{KEY}".encode()).decode()  # of a URL with me:KEY@ before its host
ALLOWED = (f"Bearer {KEY}", f"Basic {LOGIN}")


class Running(NamedTuple):
    """A server that is up."""

    url: str
    log: Path

    def names(self, *models: dict[str, str]) -> None:
        """From now on it names these at /models; before, it knows no such page."""
        self.log.with_suffix(".models").write_text(json.dumps({"object": "list", "data": models}))

    def answers(self, most: int | None = None) -> None:
        """From now on it answers so many prompts in all and lets the others wait; None: any number again."""
        held = self.log.with_suffix(".most")
        held.unlink(missing_ok=True) if most is None else held.write_text(str(most))

    def requests(self) -> list[dict[str, Any]]:
        """The bodies that it was sent, in order of arrival."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def prompts(self) -> list[str]:
        """What was judged or answered: the last message of each request but the preflight's."""
        contents = [r["messages"][-1]["content"] for r in self.requests()]
        return [c for c in contents if "Say OK." not in c]


def running(log: Path, *replay: Path) -> Iterator[Running]:
    """Start a server, and stop it when the generator is closed."""
    log.touch()
    command = [sys.executable, "-I", "-S", __file__, str(log), *map(str, replay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log)
    finally:
        process.kill()
        process.communicate()


def reply_to(prompt: str) -> str:
    """A verdict in the form that the prompt asks for, or an answer."""
    draw = int(hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest(), 16)
    if "[[rating]]" in prompt or "Rating:" in prompt:
        return f"It is well said. Rating: [[{1 + draw % 10}]]"
    if "[[A>>B]]" in prompt or "<|The Start of Assistant A's Answer|>" in prompt:
        return f"My final verdict is: [[{('A>>B', 'A>B', 'A=B', 'B>A', 'B>>A')[draw % 5]}]]"
    if "model identifier of the best model" in prompt:
        return "mM"[draw % 2]
    if "rank" in prompt:
        first = 1 + draw % 2
        return f"[{{'model': 'model_1', 'rank': {first}}}, {{'model': 'model_2', 'rank': {3 - first}}}]"
    return f"answer {draw % 1000}"


CONTEXT = 200  # words that `narrow` takes
# The number of d's in a prompt -> what `moody` makes of it.
MOODS: dict[int, dict[str, Any]] = {
    0: {"finish_reason": "content_filter", "message": {"role": "assistant", "content": "a half"}},
    1: {"finish_reason": "stop", "message": {"role": "assistant", "content": None, "refusal": "No."}},
    2: {"finish_reason": "length", "message": {"role": "assistant", "content": " "}},
}


def words_in(body: dict[str, Any]) -> int:
    """The tokens of a prompt, as `narrow` counts them."""
    return sum(len(m["content"].split()) for m in body["messages"])


def in_its_way(model: str, text: str) -> str:
    """A judge's reply as a model of that name gives it."""
    match model:
        case "thinker":
            return f"<think>Shall I say [[1]], or [[A>>B]]?</think>{text}"
        case "quoting":
            return f"The answer ends in [[10]]. {text}"
        case "cut":
            return f"{text} And there is more to sa"
    return text


def waits(number: int) -> bool:
    """Whether the prompt of that number, from 1, is not to be answered yet."""
    try:
        return number > int(LOG.with_suffix(".most").read_text())
    except (FileNotFoundError, ValueError):
        return False


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions, GET /v1/models."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        listed = LOG.with_suffix(".models")
        if self.path != "/v1/models" or not listed.exists():
            self._send(404, {"error": {"message": "no such page"}})
        elif self.headers["Authorization"] not in ALLOWED:
            self._send(401, {"error": {"message": "wrong key"}})
        else:
            self._send(200, json.loads(listed.read_text()))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with LOG.open("a") as log:
            log.write(json.dumps(body) + "\n")
        if self.headers["Authorization"] not in ALLOWED:
            self._send(401, {"error": {"message": f"Incorrect API key provided: {KEY[:6]}"}})
            return
        prompt, model = body["messages"][-1]["content"], body["model"]
        number = next(NUMBERS) if "Say OK." not in prompt else 0
        while waits(number):
            time.sleep(0.01)
        used, most = words_in(body), body.get("max_tokens", 0)
        if model == "narrow" and used + most > CONTEXT:
            told = f"This model's maximum context length is {CONTEXT} tokens. However, you requested"
            told += f" {used + most} tokens ({used} in the messages, {most} in the completion)."
            self._send(400, {"object": "error", "message": told, "type": "BadRequestError", "code": 400})
            return
        drawn_from = f"{prompt}{body.get('seed')}" if model == "noisy" else prompt
        text = in_its_way(model, reply_to(drawn_from))
        if model == "echo":
            text = f"You sent {self.headers['Authorization']}."
        mark = " " if model == "marked" else ""
        logprobs = {mark + t: -0.1 if t == text else -2.5 for t in ("m", "M")}
        if model == "chatty":
            logprobs = {"The": -0.1, "Based": -2.5}
        if prompt in REPLAY:
            text, logprobs = REPLAY[prompt]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice["message"] = {"role": "assistant", "content": text}
        if model == "moody":
            choice |= MOODS.get(prompt.split().count("d"), {})
        if model == "cut":
            choice["finish_reason"] = "length"
        if body.get("logprobs") and body["model"] != "mute":
            top = [{"token": t, "logprob": p, "bytes": None} for t, p in logprobs.items()]
            choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        about = {"id": "x", "object": "chat.completion", "created": 0, "model": f"{body['model']}-2026"}
        self._send(200, about | {"system_fingerprint": "fp_1", "choices": [choice], "usage": usage})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is the file."""


if __name__ == "__main__":
    LOG, NUMBERS = Path(sys.argv[1]), itertools.count(1)
    REPLAY = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
