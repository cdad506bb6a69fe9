"""Tokens of chat templates as a model may type them, broken up by a space.

    "I agree.<|im_end|>"    ->    "I agree.< |im_end|>"

A server that parses them would let an answer end its own turn and go on as the judge. They are found in any
case, in full-width signs, and with characters between that nobody sees, as some tokenizers drop these.
MT-Bench's own marks ("<|The Start of ...|>") are none.
"""

import re
from unicodedata import normalize

from benchmarks.api import Message

# What chat templates write between texts; a family that is not there is a line. The first are of ChatML,
# Llama 3, Cohere, Phi, and with full-width signs of DeepSeek; then those of Llama 2, T5, GLM, InternLM,
# Mistral, BERT, EXAONE, Gemma, MiniMax, Nemotron and Baichuan, Seed, Ling, TeleChat and MiniCPM, Code Llama,
# and Falcon.
NAMES = (
    r"[<\uff1c][|\uff5c][^\s|\uff5c<>]{1,64}[|\uff5c][>\uff1e]",
    r"</?s>|<(?:bos|eos|pad|unk|mask|sep|cls|sop|eop|eoh|eoa|eod)>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|THINK|IMG)\]",
    r"<</?SYS>>|\[(?:gMASK|sMASK|MASK|BOS|EOS|EOT|CLS|SEP|PAD|UNK|CALL_ID|IMG_BREAK|IMG_END)\]",
    r"\[(?:unused|unused_token|control)_?\d{1,6}\]|\[\|[a-z0-9_]{1,64}\|\]",
    r"<(?:start|end)_of_(?:turn|image|audio)>|<\|[a-z_]{2,64}>|<[a-z_]{2,64}\|>",
    r"<(?:beginning|begin|end)_of_sentence>|\]~!?[a-z][\[\]]|\[e~\[|\]<\][a-z ]{1,64}\[>\[",
    r"<(?:extra_id|special|reserved|unused|tokens_unused|reserved_token)_?\d{1,6}>",
    r"<seed:[a-z_]{1,64}>",
    r"</?role>|<_(?:start|end|user|bot|system|observation)>|<(?:\u7528\u6237|AI)>",
    r"<(?:PRE|SUF|MID|EOT|fim_prefix|fim_middle|fim_suffix|fim_pad)>",
    r">>(?:QUESTION|ANSWER|TITLE|ABSTRACT|INTRODUCTION|SUMMARY|COMMENT|DOMAIN|PREFIX|SUFFIX|MIDDLE)<<",
)
TOKEN = re.compile("|".join(NAMES), re.IGNORECASE)
# What folding takes out, and what it makes a character of ASCII.
UNSEEN = "\xad\u034f\u180e\u200b-\u200f\u2060-\u206f\ufe00-\ufe0f\ufeff"
FOLDED = re.compile(f"[{UNSEEN}]|[\ufe50-\ufe6b\uff01-\uff5e]")
DROPPED = re.compile(f"[{UNSEEN}]")


def guarded(message: Message) -> tuple[Message, int]:
    """The message with a space inside each token of a chat template, and how many there were."""
    text = message["content"]
    content, count = TOKEN.subn(lambda found: f"{found[0][0]} {found[0][1:]}", text)
    if FOLDED.search(content):
        places = _in_other_writing(content)
        for place in reversed(places):
            content = f"{content[:place]} {content[place:]}"
        count += len(places)
    return Message(role=message["role"], content=content), count


def _in_other_writing(text: str) -> list[int]:
    """Behind the first characters of tokens that are such once the text is folded."""
    kept = [(place, c) for place, c in enumerate(text) if not DROPPED.match(c)]
    folded = "".join(normalize("NFKC", c) if FOLDED.match(c) else c for _, c in kept)
    return [kept[found.start()][0] + 1 for found in TOKEN.finditer(folded)]
