"""Whether models can be spoken to as a plan has it, before any work and where their tokenizers lie here."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.api import Message
from harness.common.input import model_files
from harness.common.tokenizer import Tokenizer, check_same_tokens, load_config
from harness.data import chat_template, template_sandbox
from harness.data.prepare import DIALOGUES, PAIRS
from harness.models import weights
from harness.run.data_counts import folder_at, tokenizer_at
from harness.signals.kinds import PROBES
from harness.signals.preference_probes import opening
from harness.store.step import Source, Step

ASKED, ANSWER = chat_template.PROBE[:1], chat_template.PROBE[1]["content"]
QUESTION: tuple[Message, ...] = ({"role": "user", "content": chat_template.STAND_IN},)


def check(missing: Sequence[Step]) -> None:
    """ValueError for a student without a chat template or with one that carries no answer, a teacher of other
    tokens, and two options of a probe that begin alike.
    """
    for step in missing:
        if step.kind in (DIALOGUES, PAIRS) and (student := tokenizer_at(step.inputs.tokenizer)):
            given = step.settings.template
            _check_carries(chat_template.chat_of(student, given), given is not None)
            _check_ends(step.inputs.tokenizer, student, given)
            if step.kind == PAIRS and (teacher := tokenizer_at(step.inputs.teacher)):
                check_same_tokens(student, teacher, (step.context["student"], step.context["teacher"]))
        if step.kind == PROBES and (student := tokenizer_at(step.inputs.pairs.inputs.tokenizer)):
            opening(student, ASKED, step.settings.options, step.settings.template)


def _check_carries(chat: chat_template.Chat, given: bool) -> None:
    """ValueError where a template carries no question or not even a short answer: it would refuse all rows.
    Whether the suite has `given` it says whose template it is.
    """
    name = "chat_template" if given else chat.tokenizer.name_or_path or "the tokenizer"
    mends = "mend it" if given else "give the suite a `chat_template` that writes answers as it asks for them"
    try:
        with template_sandbox.little_memory():
            asked = chat_template.written(chat, QUESTION, True)
            if not asked.strip():
                raise template_sandbox.Unrenderable("the chat template writes nothing")
            if chat_template.STAND_IN not in asked:
                raise template_sandbox.Unrenderable("the chat template does not write the question")
            chat_template.answer_turn(chat, ASKED, ANSWER)
    except template_sandbox.Unrenderable as fault:
        raise ValueError(f"{name}: {fault}, so it refuses every row; {mends}") from fault
    except ValueError as fault:
        raise ValueError(f"{name}: {fault}; {mends}") from fault


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
    rows = int(load_config(folder).get_text_config().vocab_size)
    # One that the tokenizer does not have does no harm beside one that the model can say.
    first = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else min(ends)
    if first >= rows:
        token = tokenizer.convert_ids_to_tokens(first)
        raise ValueError(
            f"{folder}: answers end with {token or 'a token'} (id {first}), and the model has embeddings "
            f"of {rows} ids alone; name another as eos_token"
        )
