"""An OpenAI-compatible server in a process of its own, which does what the prompt's last message tells it.

    python scripted_server.py LOG [KEY]        prints its port, serves until it is killed

Words of the last message, in any order, between spaces or semicolons:

    fault=429x2     the first two requests of this message end so; several faults are played in turn
                    429 500 503 hang truncated reset malformed shape error html nul quota stop
    retry_after=S   the Retry-After of its 429 and 503 (as a date with retry_after=date)
    after=N         the answer waits until N requests have come, of any message
    until=FILE      and until the file is there
    delay=S         and so many seconds more
    context=N       tokens of prompt and answer that it takes; more are refused as OpenAI words it
    say=KIND        refusal empty filtered filtered_prompt too_long unparsable aborted no_usage cut
                    risk (a prompt refused in words of its own), moderated (the same, status 403)
                    parts (a text in two of them), stream (one in two chunks)
                    no_room (too long, and nobody says by how much)
                    number (a logprob that is no number), twice (one text in two alternatives), or
                    rated7: the answer holds [[7]]

Else the answer is `text_of(message)`, which differs for each message. Models: `judge`; `no-logprobs` refuses
to give them, `mute` leaves them out; others are unknown. Every request is a line of LOG before its answer:

    {"t": 12.3, "content": "...", "attempt": 1, "running": 4, "played": "429", "body": {...}}
"""

import asyncio
import hashlib
import json
import math
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

HOST, KEY, KEY_ENV = "127.0.0.1", "sk-scripted-5f2c", "SCRIPTED_SERVER_KEY"
MODELS = ("judge", "no-logprobs", "mute")
FAULT = re.compile(r"\bfault=([a-z0-9]+?)(?:x(\d+))?(?=[\s;]|$)")
PROMPT_TOKENS, COMPLETION_TOKENS = 100, 10  # of every answer


class Running(NamedTuple):
    """A scripted server that is up."""

    url: str
    log: Path
    process: "subprocess.Popen[str]"

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked, in order of arrival."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def times_asked(self) -> Counter[str]:
        """Requests by the content of the last message."""
        return Counter(r["content"] for r in self.requests())


def running(log: Path, key: str = KEY) -> Iterator[Running]:
    """Start a server, and stop it when the generator is closed: what a fixture yields from."""
    log.touch()
    command = [sys.executable, "-I", "-S", __file__, str(log), key]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Running(f"http://{HOST}:{int(process.stdout.readline())}/v1", log, process)
    finally:
        process.kill()
        process.communicate()


def text_of(content: str) -> str:
    """What the server answers to a message without a word of what to say."""
    return "reply " + hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def word(content: str, name: str, default: str = "") -> str:
    """The value of `name=value` in a message."""
    found = re.search(rf"\b{name}=([^\s;]+)", content)
    return found[1] if found else default


class Server:
    """Counts the requests of each message and plays its script."""

    def __init__(self, log: Path, key: str) -> None:
        self.log, self.key = log.open("a", buffering=1), key
        self.seen: Counter[str] = Counter()
        self.running = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of one keep-alive connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.running += 1
                try:
                    sent = await self.answered(head, body)
                finally:
                    self.running -= 1
                writer.write(sent)
                await writer.drain()
                if b"Connection: close" in sent or not sent:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()

    async def answered(self, head: str, raw: bytes) -> bytes:
        """The bytes that answer one request."""
        body = json.loads(raw)
        content = body["messages"][-1]["content"]
        self.seen[content] += 1
        faults = [name for name, times in FAULT.findall(content) for _ in range(int(times or 1))]
        fault = faults[self.seen[content] - 1] if self.seen[content] <= len(faults) else ""
        row = {"t": time.monotonic(), "content": content, "attempt": self.seen[content]}
        row |= {"running": self.running, "played": fault, "body": body}
        self.log.write(json.dumps(row) + "\n")
        refused = self.refused(head, body)
        if refused:
            return refused
        await self.its_turn(content)
        if fault:
            return await played(fault, content)
        return say(word(content, "say"), content, body)

    async def its_turn(self, content: str) -> None:
        """Wait for what the message says that its answer waits for."""
        while self.seen.total() < int(word(content, "after", "0")):
            await asyncio.sleep(0.005)
        while (file := word(content, "until")) and not Path(file).exists():
            await asyncio.sleep(0.005)
        await asyncio.sleep(float(word(content, "delay", "0")))

    def refused(self, head: str, body: dict[str, Any]) -> bytes:
        """What no attempt can mend: the wrong key, an unknown model, log-probs that are not given."""
        if f"authorization: bearer {self.key}\r\n".lower() not in head.lower():
            given = re.search(r"authorization: bearer (.*?)\r\n", head, re.IGNORECASE)
            return error(401, f"Incorrect API key provided: {given[1] if given else ''}", "invalid_api_key")
        if body["model"] not in MODELS:
            told = f"The model {body['model']} does not exist for {self.key}"
            return error(404, told, "model_not_found")
        if body["model"] == "no-logprobs" and body.get("logprobs"):
            return error(400, "logprobs not supported", "unsupported_parameter")
        return b""


def response(status: int, text: str, headers: str = "", missing: int = 0) -> bytes:
    """An HTTP response; `missing` bytes are announced and never sent."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body) + missing}\r\n"
    )
    return (head + headers + "\r\n").encode() + body


def error(status: int, message: str, code: str, headers: str = "") -> bytes:
    """An error as OpenAI words it."""
    return response(status, json.dumps({"error": {"message": message, "code": code}}), headers)


async def played(fault: str, content: str) -> bytes:
    """The bytes of a fault."""
    after = word(content, "retry_after")
    if after == "date":  # whole seconds: at least one from now
        after = formatdate(time.time() + 2, usegmt=True)
    whole = answer(text_of(content), {"model": "judge"})
    match fault:
        case "429" | "503":
            return error(int(fault), "slow down", "rate_limit", f"Retry-After: {after}\r\n" if after else "")
        case "quota":
            return error(429, "You exceeded your current quota", "insufficient_quota")
        case "hang":
            await asyncio.sleep(3600)
        case "truncated":
            return response(200, whole[: len(whole) // 2], "Connection: close\r\n", len(whole))
        case "malformed":
            return response(200, whole[: len(whole) // 2])
        case "shape":
            return response(200, json.dumps({"object": "chat.completion", "choices": []}))
        case "error":
            return response(200, json.dumps({"error": {"message": "upstream failed", "code": 502}}))
        case "nul":
            return response(200, answer("a\0b", {"model": "judge"}))
        case "html":
            return response(200, "<html>please wait</html>")
        case "reset":
            return b""
    return error(int(fault), "the server had an error", "server_error")


def say(kind: str, content: str, body: dict[str, Any]) -> bytes:
    """The bytes of an answer."""
    text, context = text_of(content), int(word(content, "context", "1000000"))
    most = body.get("max_tokens", 0)
    if (total := PROMPT_TOKENS + most) > context:
        told = f"This model's maximum context length is {context} tokens. However, you requested {total} "
        parts = f"tokens ({PROMPT_TOKENS} in the messages, {most} in the completion)."
        return error(400, told + parts, "context_length_exceeded")
    match kind:
        case "refusal":
            return response(200, answer(None, body, refusal="I will not."))
        case "empty":
            return response(200, answer("", body))
        case "filtered":
            return response(200, answer(None, body, finish="content_filter"))
        case "filtered_prompt":
            return error(400, "The prompt was filtered", "content_filter")
        case "risk":
            return error(400, "Content Exists Risk", "invalid_request_error")
        case "moderated":
            return error(403, "Your input was flagged", "403")
        case "parts":
            return response(200, answer([{"type": "text", "text": t} for t in (text[:3], text[3:])], body))
        case "stream":
            return streamed(answer(text, body))
        case "too_long":
            told = "This model's maximum context length is 8192 tokens; your messages resulted in 9000 tokens"
            return error(400, told, "context_length_exceeded")
        case "no_room":
            return error(400, "This model's maximum context length is 8192", "context_length_exceeded")
        case "unparsable":
            return response(200, answer("Both are\u2028nice. \ud83d\ude00 no verdict", body))
        case "aborted":
            return response(200, answer("half a", body, finish="error"))
        case "cut":
            return response(200, answer(text, body, finish="length"))
        case "cut_by_context":
            return response(200, answer(text, body, finish="model_length"))  # Mistral's word
        case "no_usage":
            return response(200, answer(text, body, usage=None))
        case "twice":
            whole, tops = json.loads(answer(text, body)), (("m", 0.3), ("M", 0.25), ("m", 0.2))
            first = whole["choices"][0]["logprobs"]["content"][0]
            first["top_logprobs"] = [{"token": t, "logprob": math.log(p)} for t, p in tops]
            return response(200, json.dumps(whole))
        case "number":
            return response(200, answer(text, body).replace("-0.25", '"none"'))
    rated = re.fullmatch(r"rated([\d.]+)", kind)
    return response(200, answer(f"Rating: [[{rated[1]}]]" if rated else text, body))


def streamed(whole: str) -> bytes:
    """A completion in the chunks of a stream."""
    body = json.loads(whole)
    choice = body["choices"][0]
    first = choice | {"delta": {"content": choice["message"]["content"][:3]}, "finish_reason": None}
    last = {"index": 0, "delta": {"content": choice["message"]["content"][3:]}, "finish_reason": "stop"}
    chunks = (body | {"choices": [first], "usage": None}, body | {"choices": [last]})
    return response(200, "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n")


def answer(
    text: str | list[dict[str, str]] | None,
    body: dict[str, Any],
    refusal: str | None = None,
    finish: str = "stop",
    usage: tuple[int, int] | None = (PROMPT_TOKENS, COMPLETION_TOKENS),
) -> str:
    """A chat completion as JSON; log-probs, where asked for, give the first token "m" 0.78 and "M" 0.22."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    choice |= {"finish_reason": finish, "logprobs": None}
    if refusal:
        choice["message"]["refusal"] = refusal
    if body.get("logprobs") and body["model"] != "mute":
        top = [{"token": t, "logprob": p, "bytes": None} for t, p in (("m", -0.25), ("M", -1.51))]
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top[: body.get("top_logprobs", 0)]}]}
    whole: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "choices": [choice]}
    whole |= {"model": f"{body['model']}-2024", "system_fingerprint": "fp_1"}
    if usage:
        whole["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))
    return json.dumps(whole)


async def main(log: Path, key: str = KEY) -> None:
    """Serve on a free port."""
    server = await asyncio.start_server(Server(log, key).connection, HOST, 0, limit=2**24, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
