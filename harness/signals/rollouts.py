"""Responses of a model to the prompts of a data set, as token sequences that training can read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import numpy as np

from benchmarks.api import Sampling
from harness.common.cost import Cost, TextSize, decoding_cost
from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.data import chat_template, token_sequences
from harness.data.token_sequences import Sequences
from harness.models.loading import load
from harness.store.array_file import ArrayFileWriter
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED

LONGEST = "responses of max_tokens each, the most there can be"


@dataclass(frozen=True)
class RolloutSettings:
    """samples: responses a prompt; drop_truncated: leave out those without an end of turn."""

    sampling: Sampling = field(metadata=FLATTENED)
    samples: int
    drop_truncated: bool
    template: str | None
    seed: int


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
    from harness.models.generation import decoding_flops, generate

    settings, tokenizer = work.settings, load_tokenizer(work.inputs.model)
    model = load(work.inputs.model).to(work.context["device"])
    prompts = Sequences(work.inputs.prompts)
    sampling = settings.sampling
    draws = [(i, sample) for i in range(len(prompts)) for sample in range(settings.samples)]
    # The name of a request seeds its noise, so an answer depends on neither batch nor order.
    requests = [Request(prompts.prompt(i), sampling, f"{prompts.rows[i]}/{sample}") for i, sample in draws]
    stop = chat_template.end_ids(tokenizer, model.generation_config, template=settings.template)
    answers = generate(
        model,
        requests,
        stop,
        vocab=token_sequences.common_vocabulary(
            vocabulary(tokenizer, work.inputs.model), work.inputs.prompts
        ),
        batch=work.context["batch"],
        seed=settings.seed,
        kept=work.kept,
    )
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
    flops = decoding_flops(model, requests, answers)
    cut = sum(a.truncated for a in answers)
    return {**counts, "truncated": cut, "dropped": len(answers) - counts["sequences"], "flops": flops}


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
    return decoding_cost(sizes.model(step.inputs.model), text, longest, sizes.limits.batch, disk)


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
