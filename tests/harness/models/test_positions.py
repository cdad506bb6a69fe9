"""RoPE that depends on the batch: as far as it does not, its model is used; beyond, it is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from benchmarks.api import Sampling
from harness.models import loading, positions
from harness.models.decoding.rows import Request
from harness.models.generation import generate
from harness.models.loading import Model, body

VOCAB, ORIGINAL = 64, 32
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
SCALED = {"rope_theta": 1e4, "factor": 4.0}


def llama(**rope: Any) -> Any:
    return transformers.LlamaConfig(**SMALL, rope_parameters={**SCALED, **rope})


MOVING: dict[str, tuple[Callable[[], Any], int]] = {
    "Phi-3, longrope": (
        lambda: transformers.Phi3Config(
            **SMALL, original_max_position_embeddings=ORIGINAL, rope_scaling={**LONG, "rope_theta": 1e4}
        ),
        ORIGINAL,
    ),
    "Llama, longrope": (lambda: llama(**LONG, original_max_position_embeddings=ORIGINAL), ORIGINAL),
    "Llama, dynamic NTK": (lambda: llama(rope_type="dynamic"), 128),
    "Gemma-3, dynamic NTK in one kind of layer": (
        lambda: transformers.Gemma3TextConfig(
            **SMALL,
            rope_parameters={
                "full_attention": {**SCALED, "rope_type": "dynamic"},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        ),
        128,
    ),
}
STATIC: dict[str, Callable[[], Any]] = {
    "none": lambda: llama(rope_type="default"),
    "linear": lambda: llama(rope_type="linear"),
    "yarn": lambda: llama(rope_type="yarn", original_max_position_embeddings=ORIGINAL),
    "llama3": lambda: llama(
        rope_type="llama3",
        original_max_position_embeddings=ORIGINAL,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
    ),
    "GPT-2, which learns its positions": lambda: transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=256
    ),
}


def model_of(config: Any) -> Model:
    """A random model as `loading.load` gives it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    loading._try(model)
    positions.guard(model)
    return model


def ids_of(length: int) -> torch.Tensor:
    return torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(length))


def beside(model: Model, sequence: torch.Tensor, longer: torch.Tensor) -> torch.Tensor:
    """The states of a sequence in a batch with a longer one."""
    padded = torch.nn.functional.pad(sequence, (0, len(longer) - len(sequence)))
    states: torch.Tensor = body(model, torch.stack([padded, longer]))[0, : len(sequence)]
    return states


@pytest.mark.parametrize("name", MOVING)
@torch.no_grad()
def test_what_is_said_of_a_sequence_does_not_depend_on_what_stands_beside_it(name: str) -> None:
    """Up to the limit it is the same, after any other sequence; a longer one is an error."""
    make, limit = MOVING[name]
    model = model_of(make())
    assert positions.limit(model.config) == limit
    short = ids_of(20)
    alone = body(model, short[None])[0]
    torch.testing.assert_close(beside(model, short, ids_of(limit)), alone, rtol=0, atol=1e-5)

    with pytest.raises(
        ValueError, match=f"a sequence of {limit + 1} tokens, and beyond {limit} its RoPE changes"
    ):
        beside(model, short, ids_of(limit + 1))
    assert torch.equal(body(model, short[None])[0], alone)


@pytest.mark.parametrize("name", STATIC)
@torch.no_grad()
def test_positions_that_depend_on_nothing_have_no_limit(name: str) -> None:
    model = model_of(STATIC[name]())
    assert positions.limit(model.config) is None
    short = ids_of(20)
    alone = body(model, short[None])[0]
    torch.testing.assert_close(beside(model, short, ids_of(200)), alone, rtol=0, atol=1e-5)


class Stretched(transformers.LlamaForCausalLM):
    """A Llama that stretches its positions to the longest sequence, and says nothing of it in its config."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        rotary = self.model.rotary_emb
        plain = rotary.forward
        rotary.forward = lambda x, position_ids: plain(x, position_ids / position_ids.max().clamp(min=50))


def test_a_model_that_does_not_say_that_its_positions_move_is_found_by_the_trial() -> None:
    with pytest.raises(ValueError, match="Stretched: its RoPE depends on the longest sequence of a batch"):
        loading._try(Stretched(llama(rope_type="default")).eval())


@pytest.mark.parametrize("batch", [1, 3])
def test_an_answer_ends_where_the_frequencies_would_change_and_counts_as_truncated(batch: int) -> None:
    """A row that has ended goes on beside one that has not, without passing the limit."""
    model = model_of(MOVING["Phi-3, longrope"][0]())
    prompts = [ids_of(n).tolist() for n in (30, 5, 20)]
    asked = [Request(prompt, Sampling(0.0, 1.0, 99), str(n)) for n, prompt in enumerate(prompts)]
    answers = generate(model, asked, [VOCAB], vocab=VOCAB, batch=batch, seed=0)

    assert all(answer.truncated for answer in answers)
    for prompt, answer in zip(prompts, answers, strict=True):
        assert len(prompt) + len(answer.ids) == ORIGINAL
        ids = prompt
        for token in answer.ids:
            assert token == int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            ids = [*ids, token]


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    model = model_of(MOVING["Phi-3, longrope"][0]())
    asked = [Request(ids_of(32).tolist(), Sampling(0.0, 1.0, 9), "q7/0")]
    with pytest.raises(ValueError, match="request q7/0: 32 tokens, of a model that reads 32"):
        generate(model, asked, [2], vocab=VOCAB, batch=1, seed=0)


TABLES: dict[str, Callable[[], Any]] = {
    "GPT-2": lambda: transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=ORIGINAL
    ),
    "GPT-J": lambda: transformers.GPTJConfig(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=ORIGINAL, rotary_dim=8
    ),
    "OPT": lambda: transformers.OPTConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
        max_position_embeddings=ORIGINAL,
    ),
    "GPT-Neo, whose masks are for so many": lambda: transformers.GPTNeoConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=6,
        max_position_embeddings=ORIGINAL,
    ),
    "MPT, whose biases are for so many": lambda: transformers.MptConfig(
        vocab_size=VOCAB, d_model=32, n_layers=2, n_heads=2, max_seq_len=ORIGINAL
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_an_answer_ends_where_a_table_of_positions_does(name: str) -> None:
    model = model_of(TABLES[name]())
    asked = [Request(ids_of(n).tolist(), Sampling(0.0, 1.0, 99), str(n)) for n in (30, 5)]
    answers = generate(model, asked, [VOCAB], vocab=VOCAB, batch=2, seed=0)
    assert [(len(a.ids), a.truncated) for a in answers] == [(2, True), (27, True)]


@pytest.mark.parametrize("config", ["BloomConfig", "LlamaConfig", "JambaConfig"])
def test_positions_that_are_computed_have_no_end(config: str) -> None:
    of_jamba = {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False}
    made = getattr(transformers, config)(**SMALL, **(of_jamba if config == "JambaConfig" else {}))
    assert positions.reads(transformers.AutoModelForCausalLM.from_config(made)) is None
