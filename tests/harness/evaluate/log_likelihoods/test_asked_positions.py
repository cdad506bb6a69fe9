"""Log-likelihoods of what is asked: those of lm-eval's own HFLM, from fewer positions and fewer logits."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.evaluate.log_likelihoods.asked_positions import log_likelihoods
from harness.evaluate.log_likelihoods.batches import Tokens, read, sharing_batches
from harness.models import prefix_sharing
from tests.harness.models.test_prefix_sharing import ALIBI, CONFIGS
from tests.harness.models.tiny_models import tiny_tokenizer

QUESTION = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
REQUESTS: list[Tokens] = [
    *((QUESTION, [n]) for n in (20, 21, 22, 23)),  # a letter each
    *((QUESTION, [20, 21, n, 23][: n - 28]) for n in (30, 31, 32)),  # endings of 2 to 4 tokens
    ([*QUESTION[:6], 40], [41, 42]),
    (QUESTION[:11], [16, 20]),  # what is read is that of the first, split elsewhere
    ([3], [4]),
    ([3], QUESTION),
]


def model_of(config: Any, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def hflm(model: Any) -> HFLM:
    return HFLM(model, tokenizer=tiny_tokenizer(), batch_size=4, max_length=64)


@pytest.mark.parametrize("name", [*CONFIGS, "BLOOM, ALiBi"])
def test_log_likelihoods_are_those_of_hflm(name: str) -> None:
    """Also of a model that cannot run over shared rows, and in the order that was asked."""
    config = transformers.BloomConfig(**ALIBI) if name.startswith("BLOOM") else CONFIGS[name]()
    model = model_of(config)
    # One by one: where continuations of unlike lengths stand in one row, HFLM reads all of them off where the
    # longest begins.
    asked = [[(None, *request)] for request in REQUESTS]
    expected = [hflm(model)._loglikelihood_tokens(one, disable_tqdm=True)[0] for one in asked]
    assert len({said for said, _ in expected}) > 5
    share = prefix_sharing.prepare(model) is None
    assert share == ("ALiBi" not in name)
    for shared in {False, share}:
        found = log_likelihoods(model, REQUESTS, shared)
        assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
        # Up to twelve float32 log-probs, each rounded to 1e-6 of some 5 nats.
        assert [x for x, _ in found] == pytest.approx([x for x, _ in expected], abs=5e-5)


def test_what_greedy_decoding_gives_is_known() -> None:
    model = model_of(CONFIGS["Llama"]())
    likeliest = int(model(torch.tensor([QUESTION])).logits[0, -1].argmax())
    found = log_likelihoods(model, [(QUESTION, [likeliest]), (QUESTION, [likeliest ^ 1])], share=False)
    assert [greedy for _, greedy in found] == [True, False]
    assert found[0][0] > found[1][0]


@contextmanager
def read_by(model: Any) -> Iterator[list[int]]:
    """Positions that the body computes, pass by pass."""
    passes: list[int] = []

    def note(module: nn.Module, ids: tuple[torch.Tensor, ...]) -> None:
        passes.append(ids[0].numel())

    handle = model.get_input_embeddings().register_forward_pre_hook(note)
    yield passes
    handle.remove()


@pytest.mark.parametrize(
    ("requests", "positions"),
    [
        ([(QUESTION, [n]) for n in range(20, 24)], 12),  # a letter each: one row
        ([(QUESTION, [n, 30, 31]) for n in range(20, 24)], 12 + 4 * 2),
        ([([*QUESTION, n], [30]) for n in range(20, 36)], 12 + 16),  # questions behind the same examples
    ],
)
def test_what_requests_begin_with_alike_is_computed_once(requests: list[Tokens], positions: int) -> None:
    model = model_of(CONFIGS["Llama"]())
    assert prefix_sharing.prepare(model) is None
    with read_by(model) as passes:
        log_likelihoods(model, requests, share=True)
    assert passes == [positions]


class Largest(TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


def test_no_tensor_has_the_logits_of_every_position() -> None:
    """Of 16 rows of 3,000 tokens and 128,256 words they would have 6.2e9 elements; those asked for, 2 a row,
    have 4e6.
    """
    small = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.LlamaConfig(
        vocab_size=128_256, max_position_embeddings=4096, num_key_value_heads=1, **small
    )
    model = model_of(config)
    shots = [n % 1000 for n in range(2980)]
    requests = [([*shots, *[n] * 18], [1, 2]) for n in range(1000, 1016)]
    for share in (False, prefix_sharing.prepare(model) is None):
        with Largest() as largest:
            log_likelihoods(model, requests, share)
        assert largest.elements == 16 * 2 * 128_256


def test_a_half_model_adds_up_its_log_probs_in_float32() -> None:
    """Twelve tokens of some 4 nats: in bfloat16 their sum would be a multiple of 1/4."""
    model = model_of(CONFIGS["Llama"]())
    (exact, _), (half, _) = (
        log_likelihoods(m, [([3], QUESTION)], share=False)[0] for m in (model, model.to(torch.bfloat16))
    )
    assert half == pytest.approx(exact, rel=0.02)
    assert half != round(half * 4) / 4


@pytest.mark.parametrize("size", [1, 3, 4, 50])
def test_batches_hold_every_request_once_and_neighbours_together(size: int) -> None:
    draw = random.Random(0)
    asked = [
        ([draw.randrange(3) for _ in range(draw.randint(1, 4))], [draw.randrange(3)] * draw.randint(1, 2))
        for _ in range(60)
    ]
    batches = sharing_batches(asked, size)
    assert sorted(n for batch in batches for n in batch) == list(range(60))
    rows = [list(dict.fromkeys(read(asked[n]) for n in batch)) for batch in batches]
    assert all(len(of_batch) == size for of_batch in rows[:-1])
    in_order = [row for of_batch in rows for row in of_batch]
    assert in_order == sorted(set(in_order))  # each row stands in one batch
