"""What `vllm serve MODEL --host H --port P --dtype D ...` does for prompts of token ids, for a tiny Llama.

It computes answers by a Llama of its own, in numpy and without a cache, so it is up in half a second. Every
request is a line of "asked.jsonl" beside the script that is on PATH, its command line the first one. FAULT in
the environment is what goes wrong:

    dies N       ends itself when N requests are answered     other-prompt  reads one token of a prompt less
    no-ids       gives text alone, as versions before 0.10    padding       says a column that is no token
    aborts       gives up each answer                         breaks        drops every second request once
"""

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

VERSION = "0.33.0+stand.in"
ASKED = "asked.jsonl"
Floats = NDArray[np.float32]


class Llama:
    """The logits of a small Llama folder, in float32."""

    def __init__(self, folder: Path) -> None:
        self.weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self.config = json.loads((folder / "config.json").read_text())

    def logits(self, ids: list[int]) -> Floats:
        """Of what follows the ids. [V]"""
        config, embedding = self.config, self.weights["model.embed_tokens.weight"]
        x = embedding[ids]  # [T, d]
        for n in range(config["num_hidden_layers"]):
            name = f"model.layers.{n}"
            x = x + self.attention(f"{name}.self_attn", self.norm(f"{name}.input_layernorm", x))
            y = self.norm(f"{name}.post_attention_layernorm", x)
            gate, up = (y @ self.weights[f"{name}.mlp.{which}_proj.weight"].T for which in ("gate", "up"))
            x = x + (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{name}.mlp.down_proj.weight"].T
        head = self.weights.get("lm_head.weight", embedding)
        return np.asarray(self.norm("model.norm", x)[-1] @ head.T, np.float32)

    def norm(self, name: str, x: Floats) -> Floats:
        mean = np.square(x).mean(-1, keepdims=True) + self.config["rms_norm_eps"]
        return np.asarray(x / np.sqrt(mean) * self.weights[f"{name}.weight"], np.float32)

    def attention(self, name: str, x: Floats) -> Floats:
        """Causal; several heads of queries may share one of keys. x: [T, d]"""
        heads, tokens = self.config["num_attention_heads"], len(x)
        of = {}
        for which in "qkv":
            flat = x @ self.weights[f"{name}.{which}_proj.weight"].T
            split = flat.reshape(tokens, -1, self.config["head_dim"]).swapaxes(0, 1)  # [H, T, D]
            of[which] = split.repeat(heads // len(split), 0)
        scores = self.turned(of["q"]) @ self.turned(of["k"]).swapaxes(1, 2) / np.sqrt(of["q"].shape[-1])
        scores = np.where(np.tri(tokens, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = shares / shares.sum(-1, keepdims=True) @ of["v"]
        return np.asarray(
            mixed.swapaxes(0, 1).reshape(tokens, -1) @ self.weights[f"{name}.o_proj.weight"].T, np.float32
        )

    def turned(self, x: Floats) -> Floats:
        """With rotary positions. x: [H, T, D]"""
        half = x.shape[-1] // 2
        theta = self.config["rope_parameters"]["rope_theta"]
        angles = np.arange(x.shape[1])[:, None] / theta ** (np.arange(half) / half)  # [T, D / 2]
        first, second = x[..., :half], x[..., half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def chosen(logits: Floats, temperature: float, top_p: float, draws: np.random.Generator) -> int:
    """The largest, or a draw from the likeliest that have a share `top_p` together. logits: [V]"""
    if temperature == 0:
        return int(logits.argmax())
    shares = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-shares)
    likeliest = shares[order] / shares.sum()
    likeliest[likeliest.cumsum() - likeliest >= top_p] = 0
    return int(draws.choice(order, p=likeliest / likeliest.sum()))


class Server(ThreadingHTTPServer):
    """One model, which answers one request at a time."""

    request_queue_size = 256  # connections that wait to be taken

    def __init__(self, given: argparse.Namespace, log: Path) -> None:
        self.model, self.name, self.log = Llama(Path(given.model)), given.model, log
        self.longest = given.max_model_len or self.model.config["max_position_embeddings"]
        self.fault, _, number = os.environ.get("FAULT", "").partition(" ")
        self.dies_after, self.asked, self.answered = int(number or 0), 0, 0
        self.lock = threading.Lock()
        super().__init__((given.host, given.port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that their other end broke."""

    def answer(self, body: dict[str, Any]) -> tuple[list[int], str]:
        """The ids of an answer, and why it ends."""
        draws, ids = np.random.default_rng(body["seed"]), list[int]()
        while len(ids) < body["max_tokens"]:
            logits = self.model.logits(body["prompt"] + ids)
            for column, bias in body.get("logit_bias", {}).items():
                logits[int(column)] += bias
            ids.append(chosen(logits, body["temperature"], body["top_p"], draws))
            if ids[-1] in body["stop_token_ids"]:
                return ids, "stop"
        return ids, "length"

    def reply(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The status and the body for a request."""
        if len(body["prompt"]) + body["max_tokens"] > self.longest:
            told = f"This model's maximum context length is {self.longest} tokens."
            return 400, {"error": {"message": told, "type": "BadRequestError", "code": 400}}
        if body["model"] != self.name or not (body["ignore_eos"] and body["return_token_ids"]):
            return 404, {"error": {"message": "asked otherwise than a step of ours asks"}}
        (ids, why), prompt = self.answer(body), body["prompt"]
        match self.fault:
            case "aborts":
                ids, why = [], "abort"
            case "padding":
                ids = [self.model.config["vocab_size"] - 1, *ids[1:]]
            case "other-prompt":
                prompt = prompt[1:]
        choice = {"index": 0, "text": "?", "finish_reason": why, "stop_reason": ids[-1] if ids else None}
        told_ids = {} if self.fault == "no-ids" else {"token_ids": ids, "prompt_token_ids": prompt}
        return 200, {"model": self.name, "choices": [choice | told_ids]}


class Handler(BaseHTTPRequestHandler):
    """GET /health, /version, /v1/models; POST /v1/completions."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        models = {"data": [{"id": self.server.name, "max_model_len": self.server.longest}]}
        pages = {"/health": {}, "/version": {"version": VERSION}, "/v1/models": models}
        self.send(200 if self.path in pages else 404, pages.get(self.path, {}))

    def do_POST(self) -> None:
        body, server = json.loads(self.rfile.read(int(self.headers["Content-Length"]))), self.server
        with server.lock:
            if server.fault == "dies" and server.answered >= server.dies_after:
                print("EngineDeadError: CUDA error: an illegal memory access", file=sys.stderr, flush=True)
                os._exit(7)
            with server.log.open("a") as log:
                log.write(json.dumps(body) + "\n")
            server.asked += 1
            if server.fault == "breaks" and server.asked % 2:
                self.close_connection = True
                return
            status, reply = server.reply(body)
            # Sent while the lock is held: one that dies next has sent all that it answered.
            self.send(status, reply)
            server.answered += 1

    def send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main(script: str, arguments: list[str]) -> None:
    """Serve until killed; `script` is the file that was found on PATH."""
    log = Path(script).with_name(ASKED)
    with log.open("a") as lines:
        lines.write(json.dumps(arguments) + "\n")
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--dtype")
    parser.add_argument("--generation-config")
    parser.add_argument("--max-model-len", type=int)
    Server(parser.parse_known_args(arguments)[0], log).serve_forever()
