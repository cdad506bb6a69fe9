"""Rows as token sequences of at most `max_length` tokens; what is dropped or cut is counted.

    drop                 a pair of which one side is too long is left out
    truncate_response    prompt[:], response[: max_length - len(prompt)], which then has no end of turn
    truncate_prompt      prompt[-(max_length - len(longer response)) :], one prompt for both sides

A cut leaves a prompt and a response of one token or more, else the row is dropped. (TRL's `truncation_mode`:
"keep_start" cuts the end of a sequence, "keep_end" its beginning.)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.common.tokenizer import Tokenizer
from harness.data import chat_template, token_sequences
from harness.data.chat_template import Encoded, Marked, Refused
from harness.data.layouts import Dialogue, Pair
from harness.data.template_sandbox import Unrenderable
from harness.data.token_sequences import Sequence

TooLong = Literal["drop", "truncate_response", "truncate_prompt"]
DROP: TooLong = "drop"
TOO_LONG, REFUSED = "too long", "not renderable by the chat template"
ALIKE = "alike once truncated"
NO_EMBEDDING = "a token that a model has no embedding of"


class Fit(NamedTuple):
    """How rows are made token sequences: template None is the tokenizer's own; `vocab`: the ids below which
    all models have embeddings.
    """

    template: str | None
    max_length: int
    too_long: TooLong = DROP
    vocab: int = 1 << 31


@dataclass
class Kept:
    """What became of rows: how many were cut, how many dropped by reason, and the first word of a refusal."""

    truncated: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    refusal: str = ""

    def refuse(self, why: str) -> None:
        self.dropped[REFUSED] += 1
        self.refusal = self.refusal or why

    def none_left(self, rows: str, path: str, read: int) -> ValueError:
        """The one line where nothing is left."""
        first = f" (the first: {self.refusal})" if self.refusal else ""
        return ValueError(f"{path}: no {rows} is left of {read} rows; dropped: {dict(self.dropped)}{first}")


class Pairs(NamedTuple):
    """Preferences as token sequences, and the prompt of each as messages."""

    chosen: list[Sequence]
    rejected: list[Sequence]
    prompts: list[dict[str, Any]]


def pairs_of(tokenizer: Tokenizer, pairs: list[Pair], fit: Fit, kept: Kept) -> Pairs:
    """The pairs that fit, each with its row; `kept` counts the others."""
    # Both sides in one call, since a prompt is then tokenised once; they come back in turn.
    texts = [(p.prompt, text) for p in pairs for text in (p.chosen, p.rejected)]
    encoded = chat_template.encode_responses(tokenizer, texts, template=fit.template)
    found = Pairs([], [], [])
    for row, (y_w, y_l) in enumerate(zip(encoded[::2], encoded[1::2], strict=True)):
        if isinstance(y_w, Refused) or isinstance(y_l, Refused):
            kept.refuse(next(y.reason for y in (y_w, y_l) if isinstance(y, Refused)))
            continue
        if max(*y_w.prompt_ids, *y_w.response_ids, *y_l.response_ids) >= fit.vocab:
            kept.dropped[NO_EMBEDDING] += 1
        elif (cut := fitted(y_w, y_l, fit)) is None:
            kept.dropped[TOO_LONG] += 1
        elif cut != (y_w, y_l) and cut[0] == cut[1]:
            # Two answers that differ behind the cut alone have margin 0 whatever is learned.
            kept.dropped[ALIKE] += 1
        else:
            kept.truncated += cut != (y_w, y_l)
            found.chosen.append(token_sequences.response(row, *cut[0]))
            found.rejected.append(token_sequences.response(row, *cut[1]))
            found.prompts.append({"row": row, "prompt": pairs[row].prompt})
    return found


def fitted(y_w: Encoded, y_l: Encoded, fit: Fit) -> tuple[Encoded, Encoded] | None:
    """Both sides with at most `max_length` tokens; None where they cannot have them."""
    prompt, longer = y_w.prompt_ids, max(len(y_w.response_ids), len(y_l.response_ids))
    if len(prompt) + longer <= fit.max_length:
        return y_w, y_l
    left = fit.max_length - (len(prompt) if fit.too_long == "truncate_response" else longer)
    if fit.too_long == DROP or left < 1:
        return None
    if fit.too_long == "truncate_prompt":
        return Encoded(prompt[-left:], y_w.response_ids), Encoded(prompt[-left:], y_l.response_ids)
    return Encoded(prompt, y_w.response_ids[:left]), Encoded(prompt, y_l.response_ids[:left])


def dialogues_of(
    tokenizer: Tokenizer,
    dialogues: list[Dialogue],
    fit: Fit,
    loss_on: Literal["responses", "all"],
    pack: bool,
    kept: Kept,
) -> list[Sequence]:
    """The dialogues that fit, or, packed, all that the template can carry; `kept` counts the others."""
    encoded: list[Sequence] = []
    for row, dialogue in enumerate(dialogues):
        try:
            whole = chat_template.encode_dialogue(
                tokenizer, dialogue.messages, template=fit.template, loss_on=loss_on
            )
        except Unrenderable as why:
            kept.refuse(str(why))
            continue
        if max(whole.ids) >= fit.vocab:
            kept.dropped[NO_EMBEDDING] += 1
        elif (cut := whole if pack else fitted_dialogue(whole, fit)) is None:
            kept.dropped[TOO_LONG] += 1
        else:
            kept.truncated += cut != whole
            encoded.append(Sequence(row, cut.ids, [False, *cut.mask[1:]]))
    return list(packed(encoded, fit.max_length)) if pack else encoded


def fitted_dialogue(whole: Marked, fit: Fit) -> Marked | None:
    """A dialogue with at most `max_length` tokens; None where that leaves no part of an answer or, of one
    whose beginning is cut, no whole last answer.
    """
    ids, mask = whole
    over = len(ids) - fit.max_length
    if over <= 0:
        return whole
    if fit.too_long == "truncate_response":
        cut = Marked(ids[:-over], mask[:-over])
        return cut if any(cut.mask[1:]) else None
    # The last answer stays whole, with a token before it; where the loss reads all, nothing marks it.
    last_prompt = max((i for i, read in enumerate(mask) if not read), default=len(ids))
    if fit.too_long == "truncate_prompt" and over <= last_prompt:
        return Marked(ids[over:], mask[over:])
    return None


def packed(encoded: Iterable[Sequence], length: int) -> Iterator[Sequence]:
    """Blocks of `length` tokens, joined and cut anywhere, as pretraining does: nothing is padded and no token
    is lost but a last block of one, which cannot be predicted.
    """
    ids: list[int] = []
    mask: list[bool] = []
    for sequence in encoded:
        ids += sequence.ids
        mask += sequence.mask
    for row, a in enumerate(range(0, len(ids), length)):
        part = [False, *mask[a + 1 : a + length]]
        if any(part):
            yield Sequence(row, ids[a : a + length], part)
