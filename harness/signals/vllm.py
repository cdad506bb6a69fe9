"""Answers of a server of vLLM to prompts of token ids, as token ids: no text becomes tokens again.

    POST /v1/completions
    {"model": "runs/store/train-...", "prompt": [1, 5, 9], "max_tokens": 40, "temperature": 0.7, "top_p": 1.0,
     "seed": 17, "stop_token_ids": [2], "ignore_eos": true, "logit_bias": {"32000": -100},
     "return_token_ids": true}

    {"choices": [{"token_ids": [7, 2], "prompt_token_ids": [1, 5, 9], "finish_reason": "stop"}]}

An answer ends where a request says: `ignore_eos` puts aside what the server would take for an end. Columns of
the head that are no tokens get the lowest bias there is, and an answer with one of them is a fault.
(vllm/entrypoints/openai/completion/protocol.py; `return_token_ids` is there from 0.10.2 on.)
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from harness.endpoints.servers import Servers, ServerSpec
from harness.models.decoding.decoder import LEAST_TEMPERATURE
from harness.models.decoding.rows import Ends, Request, seed_of
from harness.models.generation import Generated

NEVER = -100.0  # the lowest bias of a logit that vLLM takes
SECONDS = 3600.0  # of one answer, those before it in the server's queue included
IDLE = 2.0  # seconds after which a connection is not used again; vLLM closes it after 5
TRIES = 3
SHOWN = 300  # characters of what a server says


@dataclass(frozen=True)
class VllmServer:
    """A server that is up. ends: where answers end; columns: of the head, of which those from `ends.vocab` on
    are no tokens; batch: answers under way at once.
    """

    servers: Servers
    spec: ServerSpec
    ends: Ends
    columns: int
    batch: int
    seed: int

    def version(self) -> str:
        """What it calls its version."""
        with self._client() as client:
            return str(self._got(client, "/version")["version"])

    def longest(self) -> int | None:
        """Tokens of the longest sequence that it takes, the prompt's included; None where it says nothing."""
        with self._client() as client:
            listed = self._got(client, "/v1/models")["data"]
        return next((one["max_model_len"] for one in listed if one.get("max_model_len")), None)

    def decoded(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generated]]:
        """The position of each request and its answer, as soon as it is there."""
        for request in requests:
            self._check(request)
        with self._client() as client, ThreadPoolExecutor(self.batch) as pool:
            asked = {pool.submit(self._answer, client, r): i for i, r in enumerate(requests)}
            try:
                for future in as_completed(asked):
                    yield asked[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.servers.stop(self.spec)  # else those under way would be waited for
                raise

    def _check(self, request: Request) -> None:
        """ValueError for what the server would not answer as it is asked."""
        self.ends.check(request)
        if 0 < (temperature := request.sampling.temperature) < LEAST_TEMPERATURE:
            allowed = f"vllm takes 0, or {LEAST_TEMPERATURE} and more"
            raise ValueError(f"request {request.name}: temperature {temperature}; {allowed}")

    def _client(self) -> httpx2.Client:
        limits = httpx2.Limits(max_connections=self.batch, keepalive_expiry=IDLE)
        url = self.servers.url(self.spec).removesuffix("/v1")
        return httpx2.Client(base_url=url, trust_env=False, timeout=SECONDS, limits=limits)

    def _got(self, client: httpx2.Client, path: str) -> Any:
        return self._json(client, "GET", path)

    def _json(self, client: httpx2.Client, method: str, path: str, body: Any = None) -> Any:
        """What it replies; OSError where it cannot, ValueError where it refuses."""
        for tries in range(1, TRIES + 1):
            try:
                response = client.request(method, path, json=body)
                break
            except httpx2.HTTPError as fault:
                # A connection may break for no reason, and the same request has the same answer.
                ended = self.servers.ended(self.spec)
                if ended or tries == TRIES:
                    what = ended or f"{type(fault).__name__}, {TRIES} times"
                    raise OSError(self.servers.failure(self.spec, what)) from fault
        if response.status_code >= 500:
            what = self.servers.ended(self.spec) or f"status {response.status_code}"
            raise OSError(self.servers.failure(self.spec, what))
        if response.status_code != 200:
            told = " ".join(response.text.split())[:SHOWN]
            raise ValueError(f"vllm serve {self.spec.model}: status {response.status_code}, {told}")
        return response.json()

    def _answer(self, client: httpx2.Client, request: Request) -> Generated:
        try:
            (choice,) = self._json(client, "POST", "/v1/completions", self._body(request))["choices"]
            ids, prompt = choice["token_ids"], choice["prompt_token_ids"]
        except (KeyError, TypeError) as fault:
            told = "no token ids in its reply: a version from 0.10.2 on gives them"
            raise ValueError(f"vllm serve {self.spec.model}: {told}") from fault
        self._check_answer(request, prompt, ids, choice.get("finish_reason"))
        return Generated(ids, ids[-1] not in self.ends.stop)

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.spec.model,
            "prompt": request.prompt,
            "max_tokens": self._most(request),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed_of(request, self.seed),
            "stop_token_ids": sorted(self.ends.stop),
            "ignore_eos": True,
            "return_token_ids": True,
        }
        if padding := range(self.ends.vocab, self.columns):
            body["logit_bias"] = {str(i): NEVER for i in padding}
        return body

    def _most(self, request: Request) -> int:
        """Tokens that the answer may have, so that the model can read prompt and answer."""
        most = request.sampling.max_tokens
        return most if self.ends.longest is None else min(most, self.ends.longest - len(request.prompt))

    def _check_answer(self, request: Request, prompt: Any, ids: Any, why: Any) -> None:
        """An answer is one to the prompt, as long as it may be, of tokens, with one end and that the last."""
        told = f"vllm serve {self.spec.model}: request {request.name}"
        if prompt != request.prompt:
            raise ValueError(f"{told}: it read another prompt than it was given")
        if not ids or why not in ("stop", "length") or len(ids) > self._most(request):
            raise ValueError(f"{told}: {len(ids or ())} tokens, finish reason {why!r}")
        if max(ids) >= self.ends.vocab:
            raise ValueError(f"{told}: id {max(ids)} is none of the {self.ends.vocab} that are tokens")
        ended = [i in self.ends.stop for i in ids]
        if any(ended[:-1]) or ended[-1] != (why == "stop"):
            raise ValueError(f"{told}: finish reason {why!r}, and its last token is {ids[-1]}")


def started(
    servers: Servers, spec: ServerSpec, ends: Ends, *, columns: int, batch: int, seed: int
) -> VllmServer:
    """A server that is up; an answer is no longer than it takes either."""
    server = VllmServer(servers, spec, ends, columns, batch, seed)
    limits = [most for most in (ends.longest, server.longest()) if most is not None]
    return replace(server, ends=replace(ends, longest=min(limits, default=None)))
