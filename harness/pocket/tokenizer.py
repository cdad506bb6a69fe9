"""The tokenizer: one token a word, ChatML turns, the end of a turn is EOS, no BOS.

<|im_start|>user what is the food of the fox ?<|im_end|><|im_start|>assistant sure , ...<|im_end|>
"""

import re
from typing import TYPE_CHECKING

from harness.pocket import answers, facts, pretraining_text, questions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, START, END = "<|pad|>", "<|unk|>", "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")
# ChatML, as Qwen and others have it: what is tried in this world is the way that real models go.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """Every word of the language, whatever the seed."""
    # Not of this world's facts alone: models of two worlds share a tokenizer, and can teach each other.
    templates = [t for ways in (*questions.ASK.values(), *questions.THEN.values()) for t in ways]
    phrases = (*answers.OPENERS, *answers.CLOSINGS, *answers.RUDE_OPENERS, *answers.RUDE_CLOSINGS)
    texts = [*templates, *phrases, questions.AB, *pretraining_text.FRAMES, *questions.OPPOSITE, *ROLES]
    words = {word for text in texts for word in re.sub(r"\{\w+\}", "", text).split()}
    words |= {*facts.ANIMALS, *facts.PEOPLE, *facts.ITEMS, *facts.NUMBERS, *facts.VALUES}
    words |= {value for values in facts.VALUES.values() for value in values}
    return sorted(words)


def tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer of the language; ids 0-3 are pad, unknown, start and end of a turn."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = [PAD, UNKNOWN, START, END, *vocabulary()]
    plain = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token=UNKNOWN))
    plain.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    made.chat_template = CHAT_TEMPLATE
    return made
