"""Heads of real architectures, built from configurations in memory: what a policy says is what the model
itself says. And who a model is: a hub on 127.0.0.1 that answers, refuses, or is silent.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import torch
import transformers
from huggingface_hub import constants
from torch import Tensor

from harness.common import hub
from harness.data import datasets
from harness.models.loading import Model, _try, body, head_of, load_head, save_head
from harness.models.policy import Inputs, Policy
from harness.models.weights import fingerprint
from methods.batch import Chunk, statistic
from methods.formulas import teacher_kl
from methods.kernels.token_statistics import Head, Hidden
from tests.methods.kernels.memory_budgets import small_budget

COMMIT = "0123456789abcdef" * 2 + "01234567"
VOCAB, ROWS = 131, 136  # tokens, and rows of the embeddings
SMALL = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT = {"vocab_size": ROWS, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "rotary_dim": 8}
CONFIGS: dict[str, Callable[[], Any]] = {
    "Llama": lambda: transformers.LlamaConfig(**SMALL),
    "Gemma-2, soft-cap": lambda: transformers.Gemma2Config(**SMALL, final_logit_softcapping=5.0),
    "Gemma-3, soft-cap": lambda: transformers.Gemma3TextConfig(**SMALL, final_logit_softcapping=5.0),
    "Cohere, logit_scale": lambda: transformers.CohereConfig(**SMALL, logit_scale=0.3),
    "Granite, logits_scaling": lambda: transformers.GraniteConfig(**SMALL, logits_scaling=7.0),
    "Phi, bias": lambda: transformers.PhiConfig(**SMALL),
    "GPT-J, bias": lambda: transformers.GPTJConfig(**GPT),
    "Qwen2, tied": lambda: transformers.Qwen2Config(**SMALL, tie_word_embeddings=True),
    "Qwen3": lambda: transformers.Qwen3Config(**SMALL),
}
every_architecture = pytest.mark.parametrize("name", CONFIGS)


def model_of(config: Any, dtype: torch.dtype = torch.float32) -> Model:
    """A random model whose largest logit before scale and soft-cap is some 30, so that both bend it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        output = model.get_output_embeddings()
        with torch.no_grad():
            raw = output(body(model, torch.arange(8)[None]))
            output.weight.mul_(30 / raw.abs().max())
            if output.bias is not None:
                output.bias.normal_(std=5)
    return model.to(dtype)


@statistic()
def entropy(at: Chunk, hp: None) -> Tensor:
    return -(at.policy.exp() * at.policy).sum(-1)


@every_architecture
def test_what_a_policy_says_is_what_the_model_says(name: str) -> None:
    """Log-probs, an entropy and a KL to another head, from `model(...).logits` over the real tokens."""
    model = model_of(CONFIGS[name]())
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCAB, (2, 9), generator=draw)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1, 1]]).bool()
    states, weight = torch.randn(12, 20, generator=draw), torch.randn(VOCAB, 20, generator=draw)
    signals = {"teacher": Hidden(states, Head(weight, None, VOCAB))}
    policy = Policy(model, VOCAB, small_budget(5, VOCAB, recompute=True))
    at = mask.flatten().nonzero()[:, 0]
    (said,) = policy([Inputs(ids, mask, at, signals, [entropy, teacher_kl])], None)

    dense = model(ids).logits[:, :-1, :VOCAB].double().log_softmax(-1)[mask[:, 1:]]
    teacher = (states.double() @ weight.double().T).log_softmax(-1)
    expected = {
        "logps": dense.gather(-1, ids[mask][:, None])[:, 0],
        "entropy": -(dense.exp() * dense).sum(-1),
        "teacher_kl": (teacher.exp() * (teacher - dense)).sum(-1),
    }
    found = {"logps": said.logps, **{s.name: x for s, x in said.statistics.items()}}
    for what, values in expected.items():
        torch.testing.assert_close(found[what][mask].double(), values, rtol=1e-5, atol=1e-4, msg=what)
        assert not found[what][~mask].any()


def test_padded_rows_of_a_model_are_not_trained() -> None:
    """Tied embeddings: neither the head nor the input side gives the padding a gradient."""
    model = model_of(CONFIGS["Qwen2, tied"]())
    ids, mask = torch.arange(VOCAB - 9, VOCAB)[None], torch.tensor([[0] + [1] * 8]).bool()
    (said,) = Policy(model, VOCAB, small_budget(5, VOCAB, recompute=True))(
        [Inputs(ids, mask, mask.flatten().nonzero()[:, 0], {}, [entropy])], None
    )
    (said.logps.sum() + said.statistics[entropy].sum()).backward()
    gradient = model.get_output_embeddings().weight.grad
    assert gradient is model.get_input_embeddings().weight.grad
    assert not gradient[VOCAB:].any() and gradient[:VOCAB].any(-1).all()


@every_architecture
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_architecture_of_which_the_head_is_known_is_accepted(name: str, dtype: torch.dtype) -> None:
    """In bf16 the model rounds after each step from hidden states to logits, and the head does not."""
    _try(model_of(CONFIGS[name](), dtype))


class Tempered(transformers.LlamaForCausalLM):
    """A Llama whose logits are not its head of its hidden states."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        found = super().forward(*args, **kwargs)
        found.logits = found.logits * 1.1
        return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_architecture_that_does_something_else_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="Tempered: its logits are not its head"):
        _try(Tempered(transformers.LlamaConfig(**SMALL)).to(dtype).eval())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["BertLMHeadModel", "RobertaForCausalLM"])
def test_a_model_that_looks_ahead_is_refused(kind: str, dtype: torch.dtype) -> None:
    """transformers takes an encoder for a causal language model unless its config says `is_decoder`."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = getattr(transformers, kind.removesuffix("LMHeadModel").removesuffix("ForCausalLM") + "Config")
    model = getattr(transformers, kind)(config(vocab_size=ROWS, initializer_range=0.3, **sizes))
    with pytest.raises(ValueError, match=f"{kind}: a later token changes what it says of an earlier one"):
        _try(model.to(dtype).eval())


class Neighbourly(transformers.LlamaForCausalLM):
    """A Llama that adds to each sequence what it says of the one beside it."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        embedding = self.model.embed_tokens
        plain = embedding.forward
        embedding.forward = lambda ids: plain(ids) + plain(ids)[:, 1:2].mean(0) * (len(ids) - 1)


def test_a_model_that_looks_beside_is_refused() -> None:
    with pytest.raises(ValueError, match="Neighbourly: what it says of a token depends on what stands"):
        _try(Neighbourly(transformers.LlamaConfig(**SMALL)).eval())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_scale_of_the_same_name_and_another_sense_is_refused(dtype: torch.dtype) -> None:
    """HyperCLOVA X multiplies by the `logits_scaling` by which Granite divides."""
    with pytest.raises(ValueError, match="HyperCLOVAX"):
        _try(model_of(transformers.HyperCLOVAXConfig(**SMALL, logits_scaling=2.0), dtype))


def test_a_head_read_back_says_the_same(tmp_path: Path) -> None:
    """All that a head can have, without the padded rows."""
    draw = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(ROWS, 8, generator=draw), torch.randn(ROWS, generator=draw)
    head = Head(weight, bias, VOCAB, softcap=3.0, scale=0.5)
    save_head(head, tmp_path)
    read = load_head(tmp_path, torch.device("cpu"))
    hidden = torch.randn(3, 8, generator=draw)
    torch.testing.assert_close(read.logits(hidden), head.logits(hidden), rtol=0, atol=0)
    assert len(read.weight) == len(read.bias) == VOCAB


def test_a_head_without_bias_is_read_back_without(tmp_path: Path) -> None:
    model = model_of(CONFIGS["Gemma-2, soft-cap"]())
    save_head(head_of(model, VOCAB), tmp_path)
    read = load_head(tmp_path, torch.device("cpu"))
    assert (read.bias, read.vocab, read.softcap, read.scale) == (None, VOCAB, 5.0, 1.0)


class Hub(BaseHTTPRequestHandler):
    """What the hub says of models: one is known, one gated, no other exists. `asked` is what it was asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):  # the client library has a question of its own
            self.asked.append(self.path)
        known = "/api/models/org/known" in self.path
        body = json.dumps({"id": "org/known", "sha": COMMIT} if known else {"error": "no"}).encode()
        self.send_response(200 if known else 403 if "gated" in self.path else 404)
        code = "GatedRepo" if "gated" in self.path else "RepoNotFound"
        for name, value in ({} if known else {"X-Error-Code": code}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """An empty cache and a line to the hub that was never tried; given a URL, that is where the hub is."""
    monkeypatch.setattr(hub, "_HUB", hub._HubState())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield lambda url: monkeypatch.setattr(constants, "ENDPOINT", url)


@pytest.fixture
def answering(line: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on 127.0.0.1, and what it is asked."""
    monkeypatch.setattr(Hub, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        line(f"http://127.0.0.1:{server.server_port}")
        yield Hub.asked
        server.shutdown()


def test_a_hub_id_is_the_commit_that_the_hub_says_and_is_asked_for_once(answering: list[str]) -> None:
    assert fingerprint("org/known") == fingerprint("org/known") == f"org/known@{COMMIT}"
    assert len(answering) == 1


def test_a_model_that_the_hub_knows_not_is_a_fault_even_of_a_plan(answering: list[str]) -> None:
    with hub.unresolved_allowed() as names:
        with pytest.raises(ValueError, match=r"org/none: .* RepositoryNotFoundError; give a local folder"):
            fingerprint("org/none")
        assert fingerprint("org/gated") == "org/gated@unresolved"
    assert names == ["org/gated"]


def test_a_silent_hub_is_asked_once_for_all_ids_of_models_and_data(
    line: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing: one time-out in all, whatever stands in a plan."""
    monkeypatch.setattr(hub, "TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.perf_counter()
        with hub.unresolved_allowed() as names:
            found = [fingerprint(f"org/{n}") for n in "abca"] + [
                datasets.fingerprint(datasets.Source("org/set"))
            ]
        assert time.perf_counter() - began < 5  # of six
        silent.settimeout(0)
        silent.accept()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert found == [f"org/{n}@unresolved" for n in ("a", "b", "c", "a", "set")]
    assert names == ["org/a", "org/b", "org/c", "org/set"]
    assert (
        hub.unresolved_line(names).endswith("will change: org/a, org/b, org/c, org/set")
        and hub.unresolved_line([]) == ""
    )


def test_an_address_that_is_never_found_costs_one_time_out(
    line: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(60) or [])
    line("http://hub.invalid")
    began = time.perf_counter()
    with hub.unresolved_allowed():
        assert fingerprint("org/a") == "org/a@unresolved" and fingerprint("org/b") == "org/b@unresolved"
    assert time.perf_counter() - began < 30


def test_what_is_not_resolved_is_an_error_of_a_run(
    line: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, and after a plan was printed; what the cache knows is no error."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fault = r"model org/a: revision 'main' is not in the hub's cache, .*HF_HUB_OFFLINE.*; give a local folder"
    with pytest.raises(ValueError, match=fault):
        fingerprint("org/a")
    with hub.unresolved_allowed():
        assert fingerprint("org/a") == "org/a@unresolved"
    with pytest.raises(ValueError, match=fault):
        fingerprint("org/a")
    assert fingerprint(f"org/a@{COMMIT}") == f"org/a@{COMMIT}"

    refs = tmp_path / "cache" / "models--org--a" / "refs"
    refs.mkdir(parents=True)
    (refs / "v1").write_text(COMMIT)
    assert fingerprint("org/a@v1") == f"org/a@{COMMIT}"


def test_a_folder_that_is_not_there_is_a_fault_even_of_a_plan(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with hub.unresolved_allowed() as names, pytest.raises(ValueError, match=r"did you mean .*model"):
        fingerprint(str(tmp_path / "modle"))
    assert names == []
