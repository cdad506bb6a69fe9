"""Whether models can be spoken to as a plan has it, before any work and where their tokenizers lie here."""

from collections.abc import Sequence

from harness.common.tokenizer import check_same_tokens
from harness.data import chat_template
from harness.data.prepare import DIALOGUES, PAIRS
from harness.run.data_counts import tokenizer_at
from harness.signals.kinds import PROBES
from harness.signals.preference_probes import opening
from harness.store.step import Step

ASKED, ANSWER = chat_template.PROBE[:1], chat_template.PROBE[1]["content"]


def check(missing: Sequence[Step]) -> None:
    """ValueError for a student without a chat template or with one that carries no answer, a teacher of other
    tokens, and two options of a probe that begin alike.
    """
    for step in missing:
        if step.kind in (DIALOGUES, PAIRS) and (student := tokenizer_at(step.inputs.tokenizer)):
            _check_carries(chat_template.chat_of(student, step.settings.template))
            if step.kind == PAIRS and (teacher := tokenizer_at(step.inputs.teacher)):
                check_same_tokens(student, teacher, (step.context["student"], step.context["teacher"]))
        if step.kind == PROBES and (student := tokenizer_at(step.inputs.pairs.inputs.tokenizer)):
            opening(student, ASKED, step.settings.options, step.settings.template)


def _check_carries(chat: chat_template.Chat) -> None:
    """ValueError where a template carries not even a short answer: it would refuse all rows."""
    try:
        chat_template.answer_turn(chat, ASKED, ANSWER)
    except chat_template.Unrenderable as fault:
        name = chat.tokenizer.name_or_path or "the tokenizer"
        raise ValueError(
            f"{name}: {fault}, so it refuses every row (one that asks with <think> and answers without it "
            "does); give one in the suite that writes answers as it asks for them (`chat_template:`)"
        ) from fault
