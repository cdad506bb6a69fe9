"""What a reward model says of answers: one number each, from a sequence-classification head.

    rewards.jsonl {"row": 0, "reward": 0.73, "tokens": 41, "truncated": false, "cut": false}

A conversation is written by the reward model's own chat template, and tokenised as the card of
sfairXC/FsfairX-LLaMA3-RM-v0.1 does: its template's BOS is removed, since the tokenizer puts one there. What a
model wrote is shown without the special tokens of the reward model ("<|eot_id|>"): an answer must not end its
own turn and go on in the user's. `tokens` and `truncated` are the answer's own; `cut` says that the
conversation was longer than the reward model reads, so that its beginning is left out. A conversation that
the template refuses has the reward null.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.api import Message
from harness.common.tokenizer import Tokenizer, load_config, load_tokenizer
from harness.common.underway import news
from harness.data import chat_template as chat
from harness.data import template_sandbox
from harness.data.prepare import read_prompts
from harness.data.token_sequences import Ints, Sequences, batches_of
from harness.models import positions
from harness.models.loading import Model
from harness.models.memory import in_halves
from harness.models.weights import REWARD, pretrained
from harness.signals.kinds import RewardInputs, RewardSettings
from harness.store.array_file import ArrayFile
from harness.store.step import Work

log = logging.getLogger(__name__)

FAR = 1 << 30  # tokens: no limit


class Conversation(NamedTuple):
    """A conversation that ends with the answer that is scored; `specials` were taken out of the answer."""

    row: int
    messages: Sequence[Message]
    tokens: int
    truncated: bool
    specials: int


class Input(NamedTuple):
    """The ids of a conversation, and whether its beginning was left out."""

    ids: list[int]
    cut: bool


class Scores(NamedTuple):
    """The reward of each conversation, and how often a batch was halved to fit into memory."""

    rewards: list[float]
    halved: int


@dataclass(frozen=True)
class RewardModel:
    """A reward model, its tokenizer, the template it reads in (None: its own), the most tokens it reads, and
    the id that it takes for padding (None: it names none).
    """

    model: Model
    tokenizer: Tokenizer
    template: str | None
    limit: int
    pad: int | None

    def text(self, messages: Sequence[Message]) -> str:
        """A conversation as the template writes it, without the BOS that the tokenizer itself puts there."""
        written = chat.render(self.tokenizer, messages, template=self.template, add_generation_prompt=False)
        first: list[int] = self.tokenizer("")["input_ids"][:1]
        bos = self.tokenizer.bos_token_id
        return written.removeprefix(self.tokenizer.bos_token) if first and first[0] == bos else written

    def input(self, messages: Sequence[Message]) -> Input:
        """The ids of a conversation; of one that is too long those of its end, behind the BOS."""
        text = self.text(messages)
        ids: list[int] = self.tokenizer(text)["input_ids"]
        if max(ids) >= self.model.config.get_text_config().vocab_size:
            raise template_sandbox.Unrenderable("a token that the reward model has no embedding of")
        if len(ids) <= self.limit:
            return Input(ids, False)
        return Input(self.tokenizer(text, truncation=True, max_length=self.limit)["input_ids"], True)

    @torch.no_grad()
    def score(self, inputs: Sequence[Sequence[int]], tokens: int) -> Scores:
        """The reward of each sequence of ids, in batches of at most `tokens` padded positions."""
        # transformers reads the score at the last token that is not padding: where the model names no
        # padding, any id will do that no sequence ends with.
        last = {ids[-1] for ids in inputs}
        pad = next(i for i in range(len(last) + 1) if i not in last) if self.pad is None else self.pad
        self.model.config.get_text_config().pad_token_id = pad
        lengths: Ints = np.array([len(ids) for ids in inputs], dtype=np.int64)
        rewards, halved = np.zeros(len(inputs)), 0

        def ask(batch: Sequence[int]) -> list[float]:
            longest = int(lengths[batch].max())
            ids = torch.tensor([[*inputs[i], *[pad] * (longest - len(inputs[i]))] for i in batch])
            mask = (torch.arange(longest) < torch.from_numpy(lengths[batch])[:, None]).long()
            said = self.model(ids.to(self.model.device), mask.to(self.model.device)).logits[:, 0]
            return [float(reward) for reward in said.float().cpu()]

        counted, done = news.count("answers", len(inputs)), 0
        for batch in batches_of(np.argsort(lengths, kind="stable").tolist(), lengths, tokens):
            rewards[batch], parted = in_halves(ask, batch, "dtype")
            halved += parted
            done += len(batch)
            counted.at(done)
        if wrong := int(np.isnan(rewards).sum()):
            # It would lose each comparison, and be the best checkpoint or none.
            raise ValueError(f"{wrong} of {len(rewards)} rewards are NaN; are its weights sound? Try float32")
        return Scores([float(reward) for reward in rewards], halved)


def load(folder: Path, dtype: torch.dtype, template: str | None = None, limit: int = FAR) -> RewardModel:
    """The reward model of a folder; ValueError where it has no trained head with one label.

    It reads at most `limit` tokens, and never more than it has positions that depend on nothing.
    """
    from transformers import AutoModelForSequenceClassification

    config, tokenizer = load_config(folder), load_tokenizer(folder)
    architectures = ", ".join(config.architectures or ["nothing"])
    if REWARD not in architectures or config.num_labels != 1:
        labels = f" with {config.num_labels} labels" if REWARD in architectures else ""
        raise ValueError(
            f"{folder} holds {architectures}{labels}: a reward model is a ...{REWARD} with 1 label, such as "
            "sfairXC/FsfairX-LLaMA3-RM-v0.1"
        )
    if template is None and not tokenizer.chat_template:
        raise ValueError(f"{folder}: its tokenizer has no chat template, in which a reward model reads")
    model = pretrained(AutoModelForSequenceClassification, folder, dtype=dtype)
    tokenizer.truncation_side = "left"  # the answer stands at the end
    sizes = model.config.get_text_config()
    positions.guard(model)
    reads = getattr(sizes, "max_position_embeddings", None) or FAR, positions.limit(model.config) or FAR
    pad = sizes.pad_token_id
    named_pad = pad if pad is not None and 0 <= pad < sizes.vocab_size else None
    most = min(limit, *reads, tokenizer.model_max_length)
    return RewardModel(model, tokenizer, template, most, named_pad)


def run(work: Work[RewardSettings, RewardInputs[Path]]) -> dict[str, Any]:
    """The step: score the responses of the sequences `rollouts` to the prompts of `pairs`, whose ids are
    those of `tokenizer`.
    """
    tokenizer = load_tokenizer(work.inputs.tokenizer)
    prompts = read_prompts(work.inputs.pairs)
    rollouts = Sequences(work.inputs.rollouts)
    flags = _truncated(work.inputs.rollouts, len(rollouts))
    settings = work.settings
    limit, dtype = settings.max_length or FAR, getattr(torch, settings.dtype)
    judge = load(work.inputs.model, dtype, settings.template, limit)
    judge.model.to(work.context["device"])

    conversations = []
    for i, row in enumerate(rollouts.rows.tolist()):
        ids = rollouts.response(i)
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        # An answer must not end its own turn and go on as the user.
        answer, specials = plain(judge.tokenizer, text)
        messages = [*prompts[row], Message(role="assistant", content=answer)]
        conversations.append(Conversation(row, messages, len(ids), flags[i], specials))
    return _written(work, judge, conversations)


def plain(tokenizer: Tokenizer, text: str) -> tuple[str, int]:
    """A text without the special tokens that stand in it as characters, and how many these were."""
    count = 0
    while typed := chat.typed_specials(tokenizer, text):  # taking one out may join another
        count += len(typed)
        text = chat.any_of(typed).sub("", text)
    return text, count


def _written(
    work: Work[RewardSettings, RewardInputs[Path]], judge: RewardModel, conversations: Sequence[Conversation]
) -> dict[str, Any]:
    """Score conversations and write rewards.jsonl; returns the mean and what was counted."""
    inputs: dict[int, Input] = {}
    for i, conversation in enumerate(conversations):
        try:
            inputs[i] = judge.input(conversation.messages)
        # A template may refuse a role or an order of turns; that is no fault of the answer's.
        except template_sandbox.Unrenderable:
            continue  # its reward is null, and it is counted
    scores, halved = judge.score([scored.ids for scored in inputs.values()], work.context["tokens"])
    if halved:
        log.warning("batches that did not fit into memory were halved, %d times; their rewards stay", halved)
    rewards = dict(zip(inputs, scores, strict=True))
    with (work.out / "rewards.jsonl").open("w") as out:
        for i, conversation in enumerate(conversations):
            row = {"row": conversation.row, "reward": rewards.get(i), "tokens": conversation.tokens}
            cut = i in inputs and inputs[i].cut
            out.write(json.dumps({**row, "truncated": conversation.truncated, "cut": cut}) + "\n")
    read = sum(len(scored.ids) for scored in inputs.values())
    return {
        "answers": len(conversations),
        "mean": sum(scores) / len(scores) if scores else None,
        "truncated": sum(conversation.truncated for conversation in conversations),
        "cut": sum(scored.cut for scored in inputs.values()),
        "unrenderable": len(conversations) - len(inputs),
        "specials": sum(conversation.specials > 0 for conversation in conversations),
        "tokens": read,
        "halved": halved,
        "flops": 2 * judge.model.num_parameters(exclude_embeddings=True) * read,
    }


def _truncated(folder: Path, count: int) -> list[bool]:
    """Whether each response was cut off; a data set's own were not."""
    if not (folder / "truncated.bin").exists():
        return [False] * count
    flags = ArrayFile(folder, "truncated").all().tolist()
    return flags if len(flags) == count else [False] * count  # those cut off are not among the sequences
