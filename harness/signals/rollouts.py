"""Responses of a model to the prompts of a data set, as token sequences that training can read."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic

import numpy as np

from benchmarks.api import Sampling
from harness.common.cost import Cost, ModelSize, TextSize, decoding_cost
from harness.common.tokenizer import load_tokenizer
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.models.decoding.decoder import Decoder
from harness.store.array_file import ArrayFileWriter
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED

LONGEST = "responses of max_tokens each, the most there can be"
VLLM = "vllm reads its weights once for each token of a batch; its start is not in the estimate"


@dataclass(frozen=True)
class RolloutSettings:
    """samples: responses a prompt; drop_truncated: leave out those without an end of turn; decoder: what
    computes them.
    """

    sampling: Sampling = field(metadata=FLATTENED)
    samples: int
    drop_truncated: bool
    template: str | None
    seed: int
    decoder: Decoder = field(default=Decoder(), metadata=FLATTENED)


@dataclass(frozen=True)
class RolloutInputs(Generic[Ref]):
    model: Ref
    prompts: Ref


def run(work: Work[RolloutSettings, RolloutInputs[Path]]) -> dict[str, Any]:
    """The step: answer each prompt, greedily or by seeded sampling, `samples` times; ids are kept as drawn.

    With `drop_truncated` a response without an end of turn is left out and counted (a student that learns
    from it would learn not to stop); otherwise it stays, since its states are what a student visits.
    """
    from harness.models.decoding.rows import Request
    from harness.signals import answering

    settings, tokenizer = work.settings, load_tokenizer(work.inputs.model)
    prompts = Sequences(work.inputs.prompts)
    sampling = settings.sampling
    draws = [(i, sample) for i in range(len(prompts)) for sample in range(settings.samples)]
    # The name of a request seeds its noise, so an answer depends on neither batch nor order.
    requests = [Request(prompts.prompt(i), sampling, f"{prompts.rows[i]}/{sample}") for i, sample in draws]
    asked = answering.Asked(tokenizer, settings.template, settings.seed, (work.inputs.prompts,))
    with answering.opened(work, work.inputs.model, settings.decoder, asked) as model:
        answers = model.answers(requests)
        flops = model.flops(requests, answers)
    responses = (
        token_sequences.response(int(prompts.rows[i]), request.prompt, answer.ids)
        for (i, _), request, answer in zip(draws, requests, answers, strict=True)
        if not (answer.truncated and settings.drop_truncated)
    )
    known = token_sequences.vocabulary_of(work.inputs.prompts)
    counts = token_sequences.write(work.out, responses, known)
    with ArrayFileWriter(work.out, "truncated", "bool") as truncated:
        # Of all answers, those left out too: what was cut must be countable.
        truncated.append(np.array([a.truncated for a in answers]))
    cut = sum(a.truncated for a in answers)
    dropped = len(answers) - counts["sequences"]
    return {**counts, "truncated": cut, "dropped": dropped, "flops": flops, **model.told()}


def _size(step: Step[RolloutSettings, RolloutInputs[Source]], part: str, sizes: Sizes) -> TextSize:
    """Responses as long as they can be, since nobody has written them: an upper bound."""
    prompts, settings = sizes.sequences(step.inputs.prompts), step.settings
    # Nobody can say how long answers will be before they are written.
    count = prompts.sequences * settings.samples
    answered = count * settings.sampling.max_tokens
    return TextSize(count, round(count * prompts.prompt) + answered, answered, (*prompts.notes, LONGEST))


def _cost(step: Step[RolloutSettings, RolloutInputs[Source]], sizes: Sizes) -> Cost:
    text = _size(step, "", sizes)
    disk = text.disk + text.sequences
    longest = step.settings.sampling.max_tokens
    return answering_cost(step.settings.decoder, sizes.model(step.inputs.model), text, longest, sizes, disk)


def answering_cost(
    decoder: Decoder, model: ModelSize, text: TextSize, longest: int, sizes: Sizes, disk: float
) -> Cost:
    """Answers of at most `longest` tokens. Of a server of vllm is assumed that it loses no time between
    kernels; what one answer takes is all that it needs to hold.
    """
    if decoder.engine == "own":
        return decoding_cost(model, text, longest, sizes.limits.batch, disk, decoder.dtype)
    one = decoding_cost(model, text, longest, 1, disk, decoder.dtype)
    cost = decoding_cost(model, text, longest, sizes.limits.batch, disk, decoder.dtype)
    return replace(cost, layers=0, memory=one.memory, assumed=(*cost.assumed, VLLM))


ROLLOUTS = StepKind(
    "rollouts",
    RolloutSettings,
    RolloutInputs,
    "harness.signals.rollouts:run",
    3,
    on_device=True,
    cost=_cost,
    sequences=_size,
)
