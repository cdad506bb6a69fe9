"""Responses of a model to the prompts of a data set, as token sequences that training can read."""

from typing import Any

import numpy as np

from benchmarks.api import Sampling
from harness.data import chat_template, token_sequences
from harness.data.token_sequences import Sequences
from harness.models.generation import Request, generate
from harness.models.loading import load, load_tokenizer, parameters
from harness.store.array_file import ArrayFileWriter
from harness.store.step import Work


def run(work: Work) -> dict[str, Any]:
    """The step: answer each prompt, greedily or by seeded sampling, `samples` times; ids are kept as drawn.

    With `drop_truncated` a response without an end of turn is left out and counted (a student that learns
    from it would learn not to stop); otherwise it stays, since its states are what a student visits.
    """
    settings, tokenizer = work.settings, load_tokenizer(work.inputs["model"])
    model = load(work.inputs["model"]).to(work.context["device"])
    prompts = Sequences(work.inputs["prompts"])
    sampling = Sampling(settings["temperature"], settings["top_p"], settings["max_tokens"])
    asked = [(i, sample) for i in range(len(prompts)) for sample in range(settings["samples"])]
    requests = [Request(prompts.prompt(i), sampling, f"{prompts.rows[i]}/{sample}") for i, sample in asked]
    stop = chat_template.end_ids(tokenizer, model.generation_config, template=settings["template"])
    batch, seed = work.context["batch"], settings["seed"]
    answers = generate(model, requests, stop, batch=batch, seed=seed, kept=work.kept)
    kept = (
        token_sequences.response(int(prompts.rows[i]), request.prompt, answer.ids)
        for (i, _), request, answer in zip(asked, requests, answers, strict=True)
        if not (answer.truncated and settings["drop_truncated"])
    )
    counts = token_sequences.write(work.out, kept)
    with ArrayFileWriter(work.out, "truncated", "bool") as truncated:
        truncated.append(np.array([a.truncated for a in answers]))
    size, prompted = parameters(model), sum(len(r.prompt) for r in requests)
    answered = sum(len(a.ids) for a in answers)
    flops = 2 * (size["body"] * (prompted + answered) + size["head"] * answered)
    cut = sum(a.truncated for a in answers)
    return {**counts, "truncated": cut, "dropped": len(answers) - counts["sequences"], "flops": flops}
