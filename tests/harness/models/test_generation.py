"""Answers: the same whatever is decoded beside them, and drawn from the model's own distribution."""

import pytest
import torch

from benchmarks.api import Sampling
from harness.models import loading
from harness.models.decoding.choice import takes_cache
from harness.models.decoding.rows import Request
from harness.models.generation import Generated, decoding_flops, generate
from harness.models.prepare import WITHOUT_CACHE
from tests.harness.models.kinds import KINDS, random_model
from tests.harness.models.tiny_models import VOCAB, tiny_folder

PROMPTS = [[1, 7, 8, 3, 2], [1, 9, 3, 2], [1, 10, 11, 12, 13, 14, 3, 2], [1, 5, 3, 2]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> loading.Model:
    return loading.load(tiny_folder(tmp_path_factory.mktemp("model") / "m"))


def requests(sampling: Sampling) -> list[Request]:
    return [Request(prompt, sampling, str(i)) for i, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("sampling", [Sampling(0.0, 1.0, 12), Sampling(0.9, 1.0, 12), Sampling(1.0, 0.7, 12)])
def test_an_answer_does_not_depend_on_what_is_decoded_beside_it(
    model: loading.Model, sampling: Sampling
) -> None:
    together = generate(model, requests(sampling), [3], vocab=VOCAB, batch=4, seed=0)
    alone = [generate(model, [r], [3], vocab=VOCAB, batch=1, seed=0)[0] for r in requests(sampling)]
    pairs = generate(model, requests(sampling)[::-1], [3], vocab=VOCAB, batch=2, seed=0)[::-1]

    assert together == alone == pairs


def test_greedy_answers_are_the_argmax_of_the_models_own_logits(model: loading.Model) -> None:
    for request, answer in zip(
        requests(Sampling(0.0, 1.0, 6)),
        generate(model, requests(Sampling(0.0, 1.0, 6)), [3], vocab=VOCAB, batch=4, seed=0),
        strict=True,
    ):
        ids = list(request.prompt)
        for token in answer.ids:
            assert token == int(model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)


def test_an_answer_ends_with_its_stop_token_or_is_truncated(model: loading.Model) -> None:
    greedy = generate(model, requests(Sampling(0.0, 1.0, 1)), [3], vocab=VOCAB, batch=4, seed=0)
    first = greedy[0].ids[0]
    stopped = generate(model, requests(Sampling(0.0, 1.0, 5)), [first], vocab=VOCAB, batch=4, seed=0)[0]

    assert stopped.ids == [first] and not stopped.truncated
    free = generate(model, requests(Sampling(0.0, 1.0, 5)), [3], vocab=VOCAB, batch=4, seed=0)
    never = next(i for i in range(VOCAB) if all(i not in a.ids for a in free) and i != 3)
    cut = generate(model, requests(Sampling(0.0, 1.0, 5)), [never], vocab=VOCAB, batch=4, seed=0)
    assert all(len(a.ids) == 5 and a.truncated for a in cut)


def test_samples_follow_the_models_distribution(model: loading.Model) -> None:
    """2,000 first tokens of one prompt; the total variation from the softmax is below sampling noise.

    E[TV] <= sqrt(V / n) / 2 = 0.062; a temperature of 0.5 instead of 0.8 is farther than 0.1 away here.
    """
    temperature, n = 0.8, 2_000
    asked = [Request(PROMPTS[0], Sampling(temperature, 1.0, 1), str(i)) for i in range(n)]
    drawn = torch.tensor([a.ids[0] for a in generate(model, asked, [3], vocab=VOCAB, batch=500, seed=3)])
    logits = model(torch.tensor([PROMPTS[0]])).logits[0, -1].detach()

    seen = torch.bincount(drawn, minlength=VOCAB) / n
    assert float((seen - (logits / temperature).softmax(-1)).abs().sum()) / 2 < 0.07
    assert float((seen - (logits / 0.5).softmax(-1)).abs().sum()) / 2 > 0.1


def test_another_seed_draws_other_answers(model: loading.Model) -> None:
    asked = requests(Sampling(1.0, 1.0, 12))
    one, two = (generate(model, asked, [3], vocab=VOCAB, batch=4, seed=s) for s in (0, 1))
    assert one != two


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cache_gives_the_answers_of_decoding_alone_without_one(kind: str) -> None:
    """Prompts on both sides of the window, of unlike lengths, with limits of their own; half sample."""
    model = random_model(kind)
    draw = torch.Generator().manual_seed(1)
    assert takes_cache(model) == (model.config.model_type not in WITHOUT_CACHE)
    asked = []
    for i in range(11):
        length, limit = (int(torch.randint(*span, (1,), generator=draw)) for span in ((1, 20), (1, 25)))
        prompt = torch.randint(4, VOCAB, (length,), generator=draw).tolist()
        asked.append(Request(prompt, Sampling(0.9 * (i % 2), 1.0, limit), str(i)))
    alone = [generate(model, [r], [3, 9, 11], vocab=VOCAB, batch=1, seed=0)[0] for r in asked]

    for batch in (3, 8, 11):
        assert generate(model, asked, [3, 9, 11], vocab=VOCAB, batch=batch, seed=0) == alone
    for request, answer in zip(asked[::2], alone[::2], strict=True):
        ids = list(request.prompt)
        for token in answer.ids:
            assert token == int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            ids.append(token)
        assert answer.truncated == (answer.ids[-1] not in (3, 9, 11))
    assert {a.truncated for a in alone} == {True, False}


@pytest.mark.parametrize(("kind", "read"), [("Llama", 3 + 2 + 1 + 1), ("Mamba", 3 + 4 + 1)])
def test_operations_are_those_of_the_tokens_that_are_read(kind: str, read: int) -> None:
    """Answers of two and of one token, to prompts of three and of one."""
    model = random_model(kind)
    asked = [Request(prompt, Sampling(0.0, 1.0, 2), "") for prompt in ([1, 2, 3], [4])]
    answers = [Generated([5, 6], True), Generated([7], False)]
    of = loading.parameters(model)
    assert decoding_flops(model, asked, answers) == 2 * (of["body"] * read + of["head"] * 3)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_columns_that_are_no_tokens_are_never_said(model: loading.Model, temperature: float) -> None:
    """A padded embedding: its last rows are as likely as any, and no text, data or signal knows them."""
    asked, real = requests(Sampling(temperature, 1.0, 40)), 12
    free = generate(model, asked, [3], vocab=VOCAB, batch=4, seed=0)
    assert any(max(answer.ids) >= real for answer in free)
    asked = [request._replace(prompt=[min(i, real - 1) for i in request.prompt]) for request in asked]
    answers = generate(model, asked, [3], vocab=real, batch=4, seed=0)
    assert max(max(answer.ids) for answer in answers) < real
    for request, answer in zip(asked, answers, strict=True):
        ids = list(request.prompt)
        for token in answer.ids if temperature == 0 else ():
            assert token == int(model(torch.tensor([ids])).logits[0, -1, :real].argmax())
            ids.append(token)


def test_a_prompt_with_an_id_that_is_no_token_is_refused(model: loading.Model) -> None:
    asked = [Request([1, 12, 3], Sampling(0.0, 1.0, 4), "q3/0")]
    with pytest.raises(ValueError, match="request q3/0: id 12 is none of the 12 that are tokens"):
        generate(model, asked, [3], vocab=12, batch=1, seed=0)


def test_a_model_s_own_penalties_do_not_change_what_it_says(model: loading.Model) -> None:
    """Qwen2.5's generation config has a repetition penalty; a sample would no longer be the policy's."""
    asked = requests(Sampling(0.0, 1.0, 12))
    plain = generate(model, asked, [3], vocab=VOCAB, batch=4, seed=0)
    before, model.generation_config.repetition_penalty = model.generation_config.repetition_penalty, 5.0
    try:
        assert generate(model, asked, [3], vocab=VOCAB, batch=4, seed=0) == plain
    finally:
        model.generation_config.repetition_penalty = before
