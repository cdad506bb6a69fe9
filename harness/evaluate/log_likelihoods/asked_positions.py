"""Log-likelihoods of a batch of continuations, without logits of whatever nobody asks for.

    sequences    a b c d    a b c e f    g h i        "a b c", "a b c", "g" are contexts
    read once    a b c e g h                          what sequences begin with alike, nothing is padded
    asked        c -> d     c -> e, e -> f    g -> h, h -> i

The body gives a hidden state for each token that is read; those before the tokens of a continuation go
through the model's own head, a few rows of logits at a time, in float32 whatever the model computes in.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.evaluate.log_likelihoods.batches import Likelihood, Tokens, read
from harness.models.loading import Model, body, head_of
from harness.models.memory import memory_budget
from harness.models.policy import pad
from harness.models.prefix_sharing import WORTH, distinct, gather, lay_out, states
from methods.kernels.row_functions import Pass


@torch.no_grad()
def log_likelihoods(model: Model, requests: Sequence[Tokens], share: bool) -> list[Likelihood]:
    """Of each continuation given its context; `share`: the model runs over shared rows."""
    sequences = {read(request): [*request[0], *request[1]] for request in requests}
    found, places = _states(model, list(sequences.values()), share)
    row = {what: n for n, what in enumerate(sequences)}
    # The state before a token predicts it.
    asked = [places[row[read(r)], len(r[0]) - 1 : len(r[0]) + len(r[1]) - 1] for r in requests]
    tokens = torch.tensor([t for _, rest in requests for t in rest], device=model.device)
    head = head_of(model, len(model.get_output_embeddings().weight))  # lm-eval's softmax is over all columns
    budget = memory_budget("recompute", model.device)
    greedy_of = Pass(head, (), lambda logprobs, _, at: [logprobs.argmax(-1) == tokens[at]], 1, budget)
    logps, greedy = greedy_of.run(gather(found, torch.cat(asked)), tokens)
    lengths = [len(rest) for _, rest in requests]
    answers = zip(*(torch.split(x.cpu(), lengths) for x in (logps.double(), greedy)), strict=True)
    return [(float(said.sum()), bool(likeliest.all())) for said, likeliest in answers]


def _states(model: Model, sequences: list[list[int]], share: bool) -> tuple[Tensor, Tensor]:
    """Final hidden states [N, d], and where each token of each sequence has its own, [S, T]."""
    longest = max(map(len, sequences)) - 1
    if share and distinct(sequences) <= WORTH * len(sequences) * longest:
        rows = lay_out(sequences, [0] * len(sequences), model.device)
        return states(model, rows), rows.places
    ids = pad([s[:-1] for s in sequences], model.device)
    return body(model, ids).flatten(0, 1), torch.arange(ids.numel(), device=model.device).view(ids.shape)
