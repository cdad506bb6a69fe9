"""The steps before any training: the pocket world, models, and data as token sequences."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

from harness.common.files import read_json_lines, write_json_lines
from harness.data import chat_template, datasets, token_sequences
from harness.data.chat_template import Refused
from harness.data.datasets import Loaded, Source
from harness.data.layouts import Dialogue, Pair
from harness.data.token_sequences import Sequence, Sequences
from harness.models.loading import check_same_tokens, load_tokenizer
from harness.store.step import Work

T = TypeVar("T", Dialogue, Pair)


def run_text(work: Work) -> dict[str, Any]:
    """The step that tokenises plain text ({"text": ...} lines) for pretraining, each line a sequence of its
    own.
    """
    tokenizer = load_tokenizer(work.inputs["tokenizer"])
    rows = read_json_lines(work.inputs["data"] / work.settings["file"])
    ids = tokenizer([row["text"] for row in rows], add_special_tokens=False)["input_ids"]
    whole = ([*line, tokenizer.eos_token_id] for line in ids)
    return token_sequences.write(
        work.out, (Sequence(row, line, [False] + [True] * (len(line) - 1)) for row, line in enumerate(whole))
    )


def run_dialogues(work: Work) -> dict[str, Any]:
    """The step that makes token sequences of chat-format SFT data."""
    settings, tokenizer = work.settings, load_tokenizer(work.inputs["tokenizer"])
    loaded = datasets.load_dialogues(_source(work))
    dropped, encoded = Counter(loaded.dropped), []
    for number, dialogue in enumerate(_part(loaded, settings)):
        ids, mask = chat_template.encode_dialogue(
            tokenizer, dialogue.messages, template=settings["template"], loss_on=settings["loss_on"]
        )
        if not settings["pack"] and len(ids) > settings["max_length"]:
            dropped["too long"] += 1
        else:
            encoded.append(Sequence(number, ids, [False, *mask[1:]]))
    if settings["pack"]:
        joined = [i for s in encoded for i in s.ids], [m for s in encoded for m in s.mask]
        counts = token_sequences.write(work.out, _packed(*joined, settings["max_length"]))
    else:
        counts = token_sequences.write(work.out, encoded)
    return {**counts, "read": loaded.read, "dropped": dropped}


def run_pairs(work: Work) -> dict[str, Any]:
    """The step that makes token sequences of preferences: folders `chosen` and `rejected`, row by row, and
    prompts.jsonl {"row": 0, "prompt": [message, ...]}.
    """
    settings, tokenizer = work.settings, load_tokenizer(work.inputs["tokenizer"])
    teacher = load_tokenizer(work.inputs["teacher"])
    check_same_tokens(tokenizer, teacher, (work.context["student"], work.context["teacher"]))
    loaded = datasets.load_pairs(_source(work))
    pairs, dropped = _part(loaded, settings), Counter(loaded.dropped)
    texts = [(p.prompt, text) for p in pairs for text in (p.chosen, p.rejected)]
    encoded = chat_template.encode_responses(tokenizer, texts, template=settings["template"])
    chosen, rejected, prompts = [], [], []
    for row, (y_w, y_l) in enumerate(zip(encoded[::2], encoded[1::2], strict=True)):
        if isinstance(y_w, Refused) or isinstance(y_l, Refused):
            dropped["not renderable by the chat template"] += 1
        elif max(len(y.prompt_ids) + len(y.response_ids) for y in (y_w, y_l)) > settings["max_length"]:
            dropped["too long"] += 1
        else:
            chosen.append(token_sequences.response(row, y_w.prompt_ids, y_w.response_ids))
            rejected.append(token_sequences.response(row, y_l.prompt_ids, y_l.response_ids))
            prompts.append({"row": row, "prompt": pairs[row].prompt})
    if not chosen:
        raise ValueError(
            f"{settings['path']}: no pair is left of {loaded.read} rows; dropped: {dict(dropped)}"
        )
    counts = {
        name: token_sequences.write(work.out / name, s)
        for name, s in (("chosen", chosen), ("rejected", rejected))
    }
    write_json_lines(work.out / "prompts.jsonl", prompts)
    return {**counts, "read": loaded.read, "dropped": dropped}


def run_mismatched(work: Work) -> dict[str, Any]:
    """The step that sets to each prompt the response of the next row with which it fits into max_length,
    the preferred and the dispreferred one in turn.
    """
    sides = [Sequences(work.inputs["pairs"] / side) for side in ("chosen", "rejected")]
    found, n = [], len(sides[0])
    for i in range(n):
        prompt, side = sides[0].prompt(i), sides[i % 2]
        longest = work.settings["max_length"] - len(prompt)
        others = ((i + step) % n for step in range(1, n))
        if (j := next((j for j in others if side.response_lengths[j] <= longest), None)) is not None:
            answer = side[j].ids[len(side.prompt(j)) :]
            found.append(token_sequences.response(int(sides[0].rows[i]), prompt, answer))
    return {**token_sequences.write(work.out, found), "dropped": n - len(found)}


def _source(work: Work) -> Source:
    """Where the rows are; a hub id is read at the commit that its fingerprint names."""
    settings = work.settings
    if "data" in work.inputs:
        return Source(
            str(work.inputs["data"] / settings["path"]), settings["split"], None, settings["layout"]
        )
    commit = settings["fingerprint"].partition("@")[2] or None
    return Source(work.context["path"], settings["split"], commit, settings["layout"])


def _part(loaded: Loaded[T], settings: Any) -> list[T]:
    end = None if settings["limit"] is None else settings["skip"] + settings["limit"]
    rows = loaded.rows[settings["skip"] : end]
    if not rows:
        raise ValueError(
            f"{settings['path']}: skip {settings['skip']} leaves none of {len(loaded.rows)} usable rows"
        )
    return rows


def _packed(ids: list[int], mask: list[bool], length: int) -> Iterator[Sequence]:
    """Blocks of `length` tokens; a last block of one token cannot be predicted and is left out."""
    for row, a in enumerate(range(0, len(ids), length)):
        part = [False, *mask[a + 1 : a + length]]
        if any(part):
            yield Sequence(row, ids[a : a + length], part)
