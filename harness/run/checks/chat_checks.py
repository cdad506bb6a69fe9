"""Whether models can be spoken to as a plan has it, before any work and where their tokenizers lie here."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.api import Message
from harness.common.input import model_files
from harness.common.text import cut
from harness.common.tokenizer import Tokenizer, check_same_tokens, load_config
from harness.data import chat_template, template_sandbox
from harness.data.prepare import DIALOGUES, PAIRS
from harness.models import weights
from harness.run.data_counts import folder_at, tokenizer_at
from harness.signals.kinds import PROBES
from harness.signals.preference_probes import opening
from harness.store.step import Source, Step

ASKED, ANSWER = chat_template.PROBE[:1], chat_template.PROBE[1]["content"]
# What a template may spoil: marks of HTML, a second line, more than a few words.
MARKS = """Is 3 < 5 & "a" != 'b'?"""
QUESTION: Message = {"role": "user", "content": f"{MARKS}\n{'Say why, in a few words. ' * 8}"}
ANSWERED: Message = {"role": "assistant", "content": f"{MARKS}\n{'So it is, as all know. ' * 8}".strip()}
AGAIN: Message = {"role": "user", "content": "And 5 < 3?"}
ENDS = ("words.", "know.")  # of the question and of its answer
TIMES = 8  # a template is written again: one that draws among two is missed once in 256 times
ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")  # of a function that a template writes instead of calling


def check(missing: Sequence[Step]) -> None:
    """ValueError for a student without a chat template or with one that carries no answer, a teacher of other
    tokens, and two options of a probe that begin alike.
    """
    for step in missing:
        if step.kind in (DIALOGUES, PAIRS) and (student := tokenizer_at(step.inputs.tokenizer)):
            given = step.settings.template
            _check_carries(student, given)
            _check_ends(step.inputs.tokenizer, student, given)
            if folder := folder_at(step.inputs.tokenizer):
                _check_known(
                    folder, student, chat_template.encode_response(student, ASKED, ANSWER, template=given)
                )
            if step.kind == PAIRS and (teacher := tokenizer_at(step.inputs.teacher)):
                check_same_tokens(student, teacher, (step.context["student"], step.context["teacher"]))
        if step.kind == PROBES and (student := tokenizer_at(step.inputs.pairs.inputs.tokenizer)):
            opening(student, ASKED, step.settings.options, step.settings.template)


def check_asked(tokenizer: Tokenizer, template: str | None, turns: int, folder: Path | None) -> None:
    """ValueError where a model cannot be asked so many turns, by `template` or else by its own; `folder`:
    where its weights are, if they are here.
    """
    asked = (QUESTION, *(ANSWERED, AGAIN) * (turns - 1))
    try:
        with _trying(tokenizer, template) as chat:
            _question(chat)
            _check_holds(chat_template.written(chat, asked, True), asked)
        if folder:
            _check_known(
                folder, tokenizer, [chat_template.encode_prompt(tokenizer, asked, template=template)]
            )
    except ValueError as fault:
        raise ValueError(f"asks {turns} turn{'s' * (turns > 1)}, and {fault}") from fault


def _check_carries(tokenizer: Tokenizer, template: str | None) -> None:
    """ValueError where a template carries no question or no answer: it would refuse all rows."""
    with _trying(tokenizer, template) as chat:
        asked = _question(chat)
        turn = chat_template.answer_turn(chat, (QUESTION,), ANSWERED["content"])
        answered = chat_template.written(chat, (QUESTION, ANSWERED), False)
        behind = [text.rpartition(end)[2].strip() for text, end in zip((asked, answered), ENDS, strict=True)]
        # Some open the answer's turn without being asked to: more than a turn's end is behind the question.
        if turn.head.strip() and behind[0] in ("", behind[1]):
            begins = cut(repr(turn.head), 80)
            raise ValueError(f"the chat template has no generation prompt, so answers begin with {begins}")


@contextmanager
def _trying(tokenizer: Tokenizer, template: str | None) -> Iterator[chat_template.Chat]:
    """A chat whose template is tried; its faults name the suite's key or the folder that has it."""
    name = tokenizer.name_or_path or "the tokenizer" if template is None else "chat_template"
    mends = (
        "mend it"
        if template is not None
        else "give the suite a `chat_template` that writes answers as it asks for them"
    )
    chat = chat_template.chat_of(tokenizer, template)
    try:
        with template_sandbox.little_memory():
            yield chat
    except template_sandbox.Unrenderable as fault:
        raise ValueError(f"{name}: {fault}, so it refuses every row; {mends}") from fault
    except ValueError as fault:
        raise ValueError(f"{name}: {fault}; {mends}") from fault


def _question(chat: chat_template.Chat) -> str:
    """A question as a template writes it; ValueError for one that it does not write once and always alike."""
    asked = chat_template.written(chat, (QUESTION,), True)
    _check_holds(asked, (QUESTION,))
    if asked.count(MARKS) > 1:
        raise ValueError("the chat template writes the question more than once")
    if found := ADDRESS.search(asked):
        raise ValueError(f"the chat template writes {cut(found[0], 80)}, which each run writes otherwise")
    if any(chat_template.written(chat, (QUESTION,), True) != asked for _ in range(TIMES)):
        raise ValueError("the chat template writes one question otherwise each time")
    return asked


def _check_holds(text: str, messages: Sequence[Message]) -> None:
    """`Unrenderable` for a text that lacks what the user said, but for white space: Falcon's template joins
    lines.
    """
    whole = "".join(text.split())
    for message in messages:
        if message["role"] == "user" and "".join(message["content"].split()) not in whole:
            fault = "does not write the question as it is" if whole else "writes nothing"
            raise template_sandbox.Unrenderable(f"the chat template {fault}")


def _check_known(folder: Path, tokenizer: Tokenizer, ids: Sequence[Sequence[int]]) -> None:
    """ValueError where what a model reads of a few words has a token that it has no embedding of."""
    rows, highest = _embeddings(folder), max(map(max, ids))
    if highest >= rows:
        token = cut(repr(tokenizer.convert_ids_to_tokens(highest)))
        raise ValueError(
            f"{folder}: its tokenizer and chat template write {token} (id {highest}), and the model has "
            f"embeddings of {rows} ids alone; resize them, or give the suite another `chat_template`"
        )


def _embeddings(folder: Path) -> int:
    return int(load_config(folder).get_text_config().vocab_size)


def _check_ends(model: Source, tokenizer: Tokenizer, template: str | None) -> None:
    """ValueError where text has no tokens, or nothing ends an answer that the model could say."""
    name = tokenizer.name_or_path or "the tokenizer"
    with model_files.reading(Path(name), model_files.TOKENIZER):
        ids = chat_template.ids_of(tokenizer, [ANSWER])[0]
    if not ids:
        raise ValueError(f"{name}: its tokenizer has no tokens for {ANSWER!r}, so it would drop all text")
    if not (folder := folder_at(model)):
        return
    config = weights.generation_config(folder)
    ends = chat_template.end_ids(tokenizer, config, template=template)
    if not ends:
        told = (
            "tokenizer_config.json (eos_token), generation_config.json (eos_token_id) nor the chat template"
        )
        raise ValueError(f"{folder}: no end-of-text token: neither {told} has one")
    written, end = tokenizer.eos_token, tokenizer.eos_token_id
    read = None if end is None else tokenizer.convert_ids_to_tokens(end)
    if written is not None and written != read:
        raise ValueError(
            f"{folder}: eos_token: given {cut(repr(written))}, which is none of the tokenizer's tokens, so "
            f"answers would end with {cut(repr(read)) if read else 'nothing'}; name one of them, or null"
        )
    rows = _embeddings(folder)
    # One that the tokenizer does not have does no harm beside one that the model can say.
    first = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else min(ends)
    if first >= rows:
        token = tokenizer.convert_ids_to_tokens(first)
        raise ValueError(
            f"{folder}: answers end with {token or 'a token'} (id {first}), and the model has embeddings "
            f"of {rows} ids alone; name another as eos_token"
        )
