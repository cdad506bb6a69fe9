"""`transformers serve` itself, asked through OpenAI's client."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.endpoints.servers import Servers, ServerSpec, gives_logprobs, request_extras
from tests.harness.models.tiny_models import tiny_folder

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose generation_config.json asks for odd decoding."""
    folder = tiny_folder(tmp_path_factory.mktemp("tiny"))
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"repetition_penalty": 5.0}))
    return folder


@pytest.fixture(scope="module")
def ask(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Puts a question to `transformers serve` through OpenAI's client."""
    spec = ServerSpec("transformers", str(tiny), "float32", extra=("--device", "cpu"))
    with Servers(tmp_path_factory.mktemp("logs"), time_limit=120) as servers:
        yield asker(servers.url(spec), str(tiny))


def asker(url: str, model: str) -> Ask:
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key="none", max_retries=0)

    def ask(text: str, tokens: int = 12, temperature: float = 0.0, extras: bool = True, **more: Any) -> str:
        reply = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            temperature=temperature,
            extra_body=request_extras("transformers", temperature) if extras else None,
            **more,
        )
        assert reply.choices[0].logprobs is None
        return f"{reply.choices[0].message.content} [{reply.choices[0].finish_reason}]"

    return ask


def greedy(folder: Path, text: str, tokens: int) -> str:
    """The same by the forward pass alone: the best token, again and again."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    messages = [{"role": "user", "content": text}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    answer: list[int] = []
    with torch.no_grad():
        while len(answer) < tokens and tokenizer.eos_token_id not in answer:
            logits = model(torch.tensor([ids + answer])).logits
            answer.append(int(logits[0, -1].argmax()))
    ended = tokenizer.eos_token_id in answer
    return f"{tokenizer.decode(answer, skip_special_tokens=True)} [{'stop' if ended else 'length'}]"


def test_a_greedy_answer_is_that_of_the_forward_pass(ask: Ask, tiny: Path) -> None:
    answers = {text: ask(text) for text in ("a b c", "q r", "z")}
    assert answers == {text: greedy(tiny, text, 12) for text in answers}
    assert {text: ask(text, seed=seed) for seed, text in enumerate(answers)} == answers
    assert len(set(answers.values())) == 3


def test_without_the_extras_the_models_own_settings_decode(ask: Ask) -> None:
    """The reason for `request_extras`: a penalty from generation_config.json, and no sampling."""
    assert ask("a b c", extras=False) != ask("a b c")
    asked = {ask("a b c", temperature=1.0, extras=False, seed=seed) for seed in range(6)}
    assert asked == {ask("a b c", extras=False)}


def test_with_the_extras_a_temperature_samples_by_its_seed(ask: Ask) -> None:
    texts = [ask("a b c", temperature=1.0, seed=seed) for seed in range(6)]
    assert len(set(texts)) > 3
    assert [ask("a b c", temperature=1.0, seed=seed) for seed in range(6)] == texts


def test_transformers_drops_logprobs_and_says_so_here(ask: Ask) -> None:
    ask("a", logprobs=True, top_logprobs=2)  # asserts that there are none
    assert not gives_logprobs("transformers") and gives_logprobs("vllm")


@pytest.mark.slow
def test_a_real_small_model_answers_as_its_forward_pass(tmp_path: Path) -> None:
    given = os.environ.get("BENCH_TEST_SMOLLM2", "")
    if not Path(given, "config.json").is_file():
        pytest.skip("no SmolLM2 folder; set BENCH_TEST_SMOLLM2")
    spec = ServerSpec("transformers", given, "float32", extra=("--device", "cpu"))
    question = "What is the capital of France?"
    with Servers(tmp_path) as servers:
        ask = asker(servers.url(spec), given)
        answer = ask(question, 24)
        assert "Paris" in answer
        assert answer == greedy(Path(given), question, 24)
        assert ask(question, 24) == answer
