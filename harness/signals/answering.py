"""A model that answers: in this process, or by a server of vLLM that is up for as long.

with answering.opened(work, folder, decoder, asked) as model:
    answers = model.answers(requests)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM

from harness.common.tokenizer import Tokenizer, vocabulary
from harness.data import chat_template, token_sequences
from harness.endpoints import session
from harness.endpoints.servers import ServerSpec
from harness.models import generation, positions, weights
from harness.models.decoding.decoder import Decoder
from harness.models.decoding.limit import BatchLimit
from harness.models.decoding.rows import Ends, Request
from harness.models.generation import Generated
from harness.models.loading import Model, forward_flops, load
from harness.signals import vllm
from harness.store.step import Work


class Asked(NamedTuple):
    """What answers depend on beside the model: the tokenizer and the template that end them, what draws are
    seeded by, and folders of sequences beside which they stand, whose ids alone may be said.
    """

    tokenizer: Tokenizer
    template: str | None
    seed: int
    beside: tuple[Path, ...] = ()


class Answering(NamedTuple):
    """A model that answers requests, of which those kept from before a kill are not computed again; the
    operations of giving answers; and what the step's record says of who gave them.
    """

    answers: Callable[[Sequence[Request]], list[Generated]]
    flops: Callable[[Sequence[Request], Sequence[Generated]], int]
    told: Callable[[], dict[str, Any]]


@contextmanager
def opened(work: Work[Any, Any], folder: Path, decoder: Decoder, asked: Asked) -> Iterator[Answering]:
    """The model of a folder, ready to answer."""
    known = token_sequences.common_vocabulary(vocabulary(asked.tokenizer, folder), *asked.beside)
    if decoder.engine == "vllm":
        with _served(work, folder, decoder, asked, known) as served:
            yield served
        return
    model, limit = load(folder, getattr(torch, decoder.dtype)).to(work.context["device"]), BatchLimit()
    answers = partial(
        generation.generate,
        model,
        stop=_stop(model, asked),
        vocab=known,
        batch=work.context["batch"],
        seed=asked.seed,
        kept=work.kept,
        limit=limit,
    )
    yield Answering(answers, partial(generation.decoding_flops, model), lambda: {"halved": limit.halved})


@contextmanager
def _served(
    work: Work[Any, Any], folder: Path, decoder: Decoder, asked: Asked, vocab: int
) -> Iterator[Answering]:
    """The model at a server, which has the device for as long as this step asks it."""
    # Of a model's names, shapes and generation config there is no need to read its weights.
    model = weights.pretrained(AutoModelForCausalLM, folder, device_map="meta")
    stop, servers = _stop(model, asked), session.current().servers
    spec = ServerSpec("vllm", str(folder), decoder.dtype, extra=decoder.arguments)
    ends = Ends(frozenset(stop), vocab, positions.reads(model))
    columns = len(model.get_output_embeddings().weight)
    try:
        server = vllm.started(
            servers, spec, ends, columns=columns, batch=work.context["batch"], seed=asked.seed
        )

        def answers(requests: Sequence[Request]) -> list[Generated]:
            return generation.all_answers(requests, stop, asked.seed, work.kept, server.decoded)

        told = {"vllm": server.version(), "halved": 0}  # who has room for what is the server's own affair
        yield Answering(answers, partial(_flops_with_cache, model), lambda: told)
    finally:
        servers.stop(spec)


def _stop(model: Model, asked: Asked) -> list[int]:
    # A template may end turns with a token that the generation config does not name.
    return chat_template.end_ids(asked.tokenizer, model.generation_config, template=asked.template)


def _flops_with_cache(model: Model, requests: Sequence[Request], answers: Sequence[Generated]) -> int:
    answered = sum(len(a.ids) for a in answers)
    return forward_flops(model, sum(len(r.prompt) for r in requests) + answered, answered)
