"""What a reward model says of answers: one number each, from a sequence-classification head.

    rewards.jsonl {"row": 0, "turn": 1, "reward": 0.73, "tokens": 41, "truncated": false, "cut": false}

A conversation is written by the reward model's own chat template, and tokenised as the card of
sfairXC/FsfairX-LLaMA3-RM-v0.1 does: its template's BOS is removed, since the tokenizer puts one there. What a
model wrote is shown without the special tokens of the reward model ("<|eot_id|>"): an answer must not end its
own turn and go on in the user's. `tokens` and `truncated` are the answer's own; `cut` says that the
conversation was longer than the reward model reads, so that its beginning is left out. A conversation that
the template refuses has the reward null.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.api import Answer, Message, Question
from harness import chat
from harness.flat import Flat
from harness.models import Model, Tokenizer, load_tokenizer
from harness.sequences import Ints, Sequences, batches_of
from harness.store import Work

HEAD = "ForSequenceClassification"
FAR = 1 << 30  # tokens: no limit


class Asked(NamedTuple):
    """A conversation that ends with the answer that is scored; `specials` were taken out of the answer."""

    row: int | str
    messages: Sequence[Message]
    tokens: int
    truncated: bool
    turn: int = 1
    specials: int = 0


class Input(NamedTuple):
    """The ids of a conversation, and whether its beginning was left out."""

    ids: list[int]
    cut: bool


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
        if len(ids) <= self.limit:
            return Input(ids, False)
        return Input(self.tokenizer(text, truncation=True, max_length=self.limit)["input_ids"], True)

    @torch.no_grad()
    def score(self, inputs: Sequence[Sequence[int]], tokens: int) -> list[float]:
        """The reward of each sequence of ids, in batches of at most `tokens` padded positions."""
        # transformers reads the score at the last token that is not padding: where the model names no
        # padding, any id will do that no sequence ends with.
        last = {ids[-1] for ids in inputs}
        pad = next(i for i in range(len(last) + 1) if i not in last) if self.pad is None else self.pad
        self.model.config.get_text_config().pad_token_id = pad
        lengths: Ints = np.array([len(ids) for ids in inputs], dtype=np.int64)
        found, device = np.zeros(len(inputs)), self.model.device
        for batch in batches_of(np.argsort(lengths, kind="stable").tolist(), lengths, tokens):
            longest = int(lengths[batch].max())
            ids = torch.tensor([[*inputs[i], *[pad] * (longest - len(inputs[i]))] for i in batch])
            mask = (torch.arange(longest) < torch.from_numpy(lengths[batch])[:, None]).long()
            found[batch] = self.model(ids.to(device), mask.to(device)).logits[:, 0].float().cpu().numpy()
        return [float(reward) for reward in found]


def load(folder: Path, dtype: torch.dtype, template: str | None = None, limit: int = FAR) -> RewardModel:
    """The reward model of a folder; ValueError where it has no trained head with one label.

    It reads at most `limit` tokens, and never more than it has positions.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config, tokenizer = AutoConfig.from_pretrained(folder), load_tokenizer(folder)
    named = ", ".join(config.architectures or ["nothing"])
    if HEAD not in named or config.num_labels != 1:
        labels = f" with {config.num_labels} labels" if HEAD in named else ""
        raise ValueError(
            f"{folder} holds {named}{labels}: a reward model is a ...{HEAD} with 1 label, such as "
            "sfairXC/FsfairX-LLaMA3-RM-v0.1"
        )
    if template is None and not tokenizer.chat_template:
        raise ValueError(f"{folder}: its tokenizer has no chat template, in which a reward model reads")
    model, told = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=dtype, output_loading_info=True
    )
    if told["missing_keys"]:
        raise ValueError(f"{folder}: its files lack the weights {', '.join(sorted(told['missing_keys']))}")
    tokenizer.truncation_side = "left"  # the answer stands at the end
    sizes = model.config.get_text_config()
    positions = getattr(sizes, "max_position_embeddings", None) or FAR
    pad = sizes.pad_token_id
    named_pad = pad if pad is not None and 0 <= pad < sizes.vocab_size else None
    most = min(limit, positions, tokenizer.model_max_length)
    return RewardModel(model.eval(), tokenizer, template, most, named_pad)


def run(work: Work) -> dict[str, Any]:
    """The step: score the responses of the sequences `rollouts` to the prompts of `pairs`, whose ids are
    those of `tokenizer`.
    """
    tokenizer = load_tokenizer(work.inputs["tokenizer"])
    prompts: dict[int, list[Message]] = {
        row["row"]: row["prompt"] for row in _lines(work.inputs["pairs"] / "prompts.jsonl")
    }
    rollouts = Sequences(work.inputs["rollouts"])
    flags = _truncated(work.inputs["rollouts"], len(rollouts))
    judge = _of(work)

    def asked() -> Iterator[Asked]:
        for i, row in enumerate(rollouts.rows.tolist()):
            ids = rollouts[i].ids[len(rollouts.prompt(i)) :]
            said = tokenizer.decode(ids, skip_special_tokens=True).strip()
            answer, specials = plain(judge.tokenizer, said)
            messages = [*prompts[row], Message(role="assistant", content=answer)]
            yield Asked(row, messages, len(ids), flags[i], specials=specials)

    return _written(work, judge, asked())


def run_answers(work: Work) -> dict[str, Any]:
    """The step: score the answers to a judged benchmark's questions, each turn with those before it."""
    from harness import answers, questions  # with the clients of endpoints, which no rollout needs

    asked, _ = questions.load(work.settings["benchmark"], work.inputs["data"], work.settings)
    judge = _of(work)
    return _written(work, judge, turns(asked, answers.read(work.inputs["answers"]), judge.tokenizer))


def turns(
    questions: Iterable[Question], answers: Mapping[str, Answer], tokenizer: Tokenizer
) -> Iterator[Asked]:
    """Each answered turn as a conversation; `tokenizer` is the reward model's."""
    for question in questions:
        answer, messages = answers[question.id], list[Message]()
        for n, (user, said) in enumerate(zip(question.turns, answer.turns, strict=True)):
            text, specials = plain(tokenizer, said)
            messages += [Message(role="user", content=user), Message(role="assistant", content=text)]
            tokens, truncated = answer.tokens[n], answer.truncated[n]
            yield Asked(question.id, tuple(messages), tokens, truncated, n + 1, specials)


def plain(tokenizer: Tokenizer, text: str) -> tuple[str, int]:
    """A text without the special tokens that stand in it as characters, and how many these were."""
    count = 0
    while typed := chat.typed_specials(tokenizer, text):  # taking one out may join another
        count += len(typed)
        text = chat.any_of(typed).sub("", text)
    return text, count


def _of(work: Work) -> RewardModel:
    settings = work.settings
    limit = settings.get("max_length") or FAR
    dtype = getattr(torch, settings["dtype"])
    judge = load(work.inputs["model"], dtype, settings.get("template"), limit)
    judge.model.to(work.context["device"])
    return judge


def _written(work: Work, judge: RewardModel, asked: Iterable[Asked]) -> dict[str, Any]:
    """Score conversations and write rewards.jsonl; returns the mean and what was counted."""
    every = list(asked)
    inputs: dict[int, Input] = {}
    for i, one in enumerate(every):
        try:
            inputs[i] = judge.input(one.messages)
        except chat.Unrenderable:
            continue  # its reward is null, and it is counted
    scores = judge.score([given.ids for given in inputs.values()], work.context["tokens"])
    rewards = dict(zip(inputs, scores, strict=True))
    with (work.out / "rewards.jsonl").open("w") as out:
        for i, one in enumerate(every):
            row = {"row": one.row, "turn": one.turn, "reward": rewards.get(i), "tokens": one.tokens}
            cut = i in inputs and inputs[i].cut
            out.write(json.dumps({**row, "truncated": one.truncated, "cut": cut}) + "\n")
    read = sum(len(given.ids) for given in inputs.values())
    return {
        "answers": len(every),
        "mean": sum(scores) / len(scores) if scores else None,
        "truncated": sum(one.truncated for one in every),
        "cut": sum(given.cut for given in inputs.values()),
        "unrenderable": len(every) - len(inputs),
        "specials": sum(one.specials > 0 for one in every),
        "tokens": read,
        "flops": 2 * judge.model.num_parameters(exclude_embeddings=True) * read,
    }


def _truncated(folder: Path, count: int) -> list[bool]:
    """Whether each response was cut off; a data set's own were not."""
    if not (folder / "truncated.bin").exists():
        return [False] * count
    flags = Flat(folder, "truncated").all().tolist()
    return flags if len(flags) == count else [False] * count  # those cut off are not among the sequences


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_rewards(folder: Path) -> dict[int, float | None]:
    """Row -> reward of a folder's answers, one to each row; None where it could not be had."""
    rows = _lines(folder / "rewards.jsonl")
    found = {row["row"]: row["reward"] for row in rows}
    if len(found) < len(rows):
        raise ValueError(f"{folder}: {len(rows)} answers to {len(found)} rows; one to each is compared")
    return found


def won(ours: float | None, theirs: float | None) -> float | None:
    """1.0 where a reward is above the reference's, 0.5 where equal, else 0.0; None where one of them is."""
    if ours is None or theirs is None:
        return None
    return float(ours > theirs) + 0.5 * float(ours == theirs)


def win_rate(rewards: Mapping[int, float | None], reference: Mapping[int, float | None]) -> float:
    """Share, 0-1, of the rows both have a reward on, on which ours is higher; ties are half a win.

    ValueError unless both are of the same rows.
    """
    if rewards.keys() != reference.keys():
        raise ValueError(
            f"win rate: rewards of {len(rewards)} rows and {len(reference)} of the reference; "
            f"{len(rewards.keys() ^ reference.keys())} rows are in one of them alone"
        )
    known = [win for row in rewards if (win := won(rewards[row], reference[row])) is not None]
    if not known:
        raise ValueError("win rate: there is no row with both rewards")
    return sum(known) / len(known)
