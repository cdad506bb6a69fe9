"""Log-likelihoods of answers behind examples: from what is asked, and from the logits of every position."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from harness.evaluate.log_likelihoods.asked_positions import log_likelihoods
from harness.evaluate.log_likelihoods.batches import Tokens
from harness.models import prefix_sharing
from harness.models.loading import Model, load
from harness.models.policy import pad
from tests.gpu import world
from tests.gpu.check import Check, Line
from tests.gpu.measure import device, emptied, memory, seconds

QUESTIONS, ANSWERS, EXAMPLES, QUESTION, ANSWER = 4, 4, 900, 60, 20  # the last three in tokens
SMALL_EXAMPLES, APART = 30, 1e-3  # nats, in float32
WAYS = WHOLE, ASKED, SHARED = "every position", "asked positions", "asked positions, shared beginnings"


def asked(check: Check) -> Iterator[Line]:
    """Seconds, memory and numbers of one batch, in both dtypes."""
    at, requests = world.ready(check), _requests(check)
    for dtype in (torch.float32, torch.bfloat16):
        model = load(at / "student", dtype).to(device())
        expected: list[float] = []
        for way in WAYS:
            share = way == SHARED and prefix_sharing.prepare(model) is None  # which stays with the model
            ask = partial(_of_every_position if way == WHOLE else _asked, model, requests, share)
            emptied()
            said = ask()  # with a warm GPU
            told = {"dtype": str(dtype), "way": way, "again_s": seconds(ask), **memory()}
            expected = expected or said
            apart = max(abs(a - b) for a, b in zip(said, expected, strict=True))
            if dtype == torch.float32:
                told["ok"] = apart < APART
            yield {**told, "nats_apart": apart}
        del model, ask


def _requests(check: Check) -> list[Tokens]:
    """Questions behind the same examples, each with several answers; tokens are any."""
    words, examples = world.vocab(check), SMALL_EXAMPLES if check.small else EXAMPLES
    draw = torch.Generator().manual_seed(0)

    def some(n: int) -> list[int]:
        return torch.randint(5, words, (n,), generator=draw).tolist()

    shots, questions = some(examples), [some(QUESTION) for _ in range(QUESTIONS)]
    return [([*shots, *question], some(ANSWER)) for question in questions for _ in range(ANSWERS)]


def _asked(model: Model, requests: list[Tokens], share: bool) -> list[float]:
    return [said for said, _ in log_likelihoods(model, requests, share)]


@torch.no_grad()
def _of_every_position(model: Model, requests: list[Tokens], _share: bool) -> list[float]:
    """As lm-eval's class for Hugging Face models has them."""
    ids = pad([[*context, *rest] for context, rest in requests], device())
    logprobs = F.log_softmax(model(ids[:, :-1]).logits, -1)
    found = logprobs.gather(-1, ids[:, 1:, None])[..., 0]
    spans = [(len(context) - 1, len(context) + len(rest) - 1) for context, rest in requests]
    return [float(found[n, a:b].sum()) for n, (a, b) in enumerate(spans)]
