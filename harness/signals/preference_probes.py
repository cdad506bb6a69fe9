"""The teacher's choice between every two responses to a prompt, from the first token of its answer to "A or
B?".

    scores.bin float32 [N]   log of the mean over the others j of P(i chosen over j), for each of N responses

P(i chosen over j) is the mean of both orders: the probability of the first letter with i first, and of the
second with i second. Probabilities are of the letter among all tokens, as PAD's released code reads them;
what the two letters hold together is reported. What the chat template opens an answer with (an empty thinking
block, a channel) stands at the end of the question, so that the letter is what comes next. (Gu et al., 2025,
arXiv 2502.14272, Eq. 9.)
"""

import logging
from collections.abc import Sequence
from itertools import groupby, permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.api import Message
from harness.common.tokenizer import Tokenizer, load_tokenizer, vocabulary
from harness.common.underway import news
from harness.data import chat_template
from harness.data.prepare import read_prompts
from harness.data.token_sequences import Ints, Sequences, batches_of
from harness.models.loading import Model, body, forward_flops, head_of, load
from harness.models.memory import in_halves
from harness.models.policy import pad
from harness.signals.kinds import ProbeInputs, ProbeSettings
from harness.store.array_file import ArrayFileWriter
from harness.store.step import Work

log = logging.getLogger(__name__)
LEAST = 1e-8  # a probability below this counts as this, as in PAD's released code


class Probe(NamedTuple):
    """A question's ids, which responses stand first and second in it, and the tokens that choose them."""

    ids: list[int]
    first: int
    second: int
    letters: list[int]


class Opening(NamedTuple):
    """The ids that the template opens an answer with, and the one that each option goes on with."""

    ids: list[int]
    letters: list[int]


def run(work: Work[ProbeSettings, ProbeInputs[Path]]) -> dict[str, Any]:
    """The step: ask the teacher about every ordered pair of a prompt's responses."""
    settings = work.settings
    group = Sequences(work.inputs.group)
    model = load(work.inputs.model, getattr(torch, settings.dtype)).to(work.context["device"])
    tokenizer = load_tokenizer(work.inputs.model)
    template = settings.template
    prompts = read_prompts(work.inputs.pairs)
    probes: list[Probe] = []
    cut = 0
    for row, of_row in groupby(range(len(group)), key=lambda i: int(group.rows[i])):
        texts = {}
        for i in of_row:
            answer = group.response(i)
            cut += len(answer) > settings.max_tokens
            # A long response is shown in part, as in the released code; how many were is told.
            texts[i] = tokenizer.decode(answer[: settings.max_tokens], skip_special_tokens=True).strip()
        opens: Opening | None = None  # alike for all questions of a row: they have the same turns
        # Both orders: a judge, a teacher too, prefers a place.
        for i, j in permutations(texts, 2):
            messages = question(prompts[row], settings.question, texts[i], texts[j])
            opens = opens or opening(tokenizer, messages, settings.options, template)
            ids = chat_template.encode_prompt(tokenizer, messages, template=template)
            probes.append(Probe([*ids, *opens.ids], i, j, opens.letters))
    vocab = vocabulary(tokenizer, work.inputs.model)
    chosen, halved = letter_probs(model, vocab, probes, work.context["tokens"])
    if halved:
        log.warning("batches that did not fit into memory were halved, %d times; the scores stay", halved)

    wins = np.zeros((2, len(group)))
    for probe, (a, b) in zip(probes, chosen, strict=True):
        wins[:, probe.first] += (a, 1)
        wins[:, probe.second] += (b, 1)
    with ArrayFileWriter(work.out, "scores", "float32") as scores:
        scores.append(np.log(np.maximum(wins[0] / wins[1], LEAST)))
    return {
        "probes": len(probes),
        "cut": cut,
        "letter_mass": float(chosen.sum(-1).mean()),
        "halved": halved,
        "flops": forward_flops(model, sum(len(p.ids) for p in probes), len(probes)),
    }


def question(prompt: list[Message], form: str, a: str, b: str) -> list[Message]:
    """The conversation, with its last turn replaced by the question which of two answers to it is better."""
    text = form.format(question=prompt[-1]["content"], a=a, b=b)
    return [*prompt[:-1], Message(role="user", content=text)]


def opening(
    tokenizer: Tokenizer, prompt: Sequence[Message], options: tuple[str, str], template: str | None
) -> Opening:
    """What an answer to a prompt begins with; ValueError where both options go on with the same token."""
    chat = chat_template.chat_of(tokenizer, template)
    turns = [chat_template.answer_turn(chat, prompt, option) for option in options]
    a, b = (answer.response_ids for answer in chat_template.encoded(chat, turns))
    shared = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    # What the options share beyond the template's own text says nothing about which is meant.
    opened = len(chat_template.ids_of(tokenizer, [turns[0].head])[0])
    if shared > opened:
        token = tokenizer.convert_ids_to_tokens(a[opened])
        raise ValueError(
            f"probe.options: {options[0]!r} and {options[1]!r} begin with the same token {token!r}, whose "
            "probability says nothing about which is meant; give two that begin with different tokens"
        )
    return Opening(a[:shared], [a[shared], b[shared]])


@torch.no_grad()
def letter_probs(
    model: Model, vocab: int, probes: list[Probe], tokens: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], int]:
    """Probability of each of a probe's letters as the next token after it, [n, 2]; and how often a batch was
    halved to fit into memory.
    """
    lengths: Ints = np.array([len(p.ids) for p in probes])
    letters = torch.tensor([p.letters for p in probes])
    head, probabilities, halved = head_of(model, vocab), np.zeros(letters.shape), 0

    def ask(batch: Sequence[int]) -> list[list[float]]:
        states = body(model, pad([probes[i].ids for i in batch], model.device))
        last = states[torch.arange(len(batch)), torch.tensor(lengths[batch]) - 1]
        probs = F.softmax(head.logits(last), -1).gather(1, letters[batch].to(model.device))
        said: list[list[float]] = probs.double().cpu().tolist()
        return said

    counted, done = news.count("questions", len(probes)), 0
    for batch in batches_of(np.argsort(lengths, kind="stable").tolist(), lengths, tokens):
        probabilities[batch], parted = in_halves(ask, batch, "teacher_dtype")
        halved += parted
        done += len(batch)
        counted.at(done)
    return probabilities, halved
