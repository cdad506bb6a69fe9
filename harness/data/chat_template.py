"""Chat templates to token ids: the rendered template is the truth, tokenised without anything added.

    prompt    <|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n    alike in training and generation
    response  Hello<|im_end|>                                            with its end-of-turn token

A prompt's ids are those of its text alone, so they are the prefix of every sequence made of it. A response's
ids are those that continue them when both are tokenised together, as a model would write them (Llama 2's word
after "[/INST]" has one space, not two); where a token would span the seam, the response is tokenised apart.

Special tokens that someone typed into an answer ("<|im_end|>") stay text: such an answer is tokenised apart,
with `split_special_tokens`. In prompts they become special tokens, as on every chat server. `typed_specials`
finds both.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from benchmarks.api import Message
from harness.data import template_sandbox
from harness.data.template_sandbox import Unrenderable

if TYPE_CHECKING:
    from transformers import GenerationConfig
    from transformers import PreTrainedTokenizerBase as Tokenizer

PROBE: tuple[Message, ...] = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
# Stands for an answer while the template's own text is found; of private use, so no data holds it.
STAND_IN = "\U0010f0a7"
# Templates that print today's date (Llama 3.2) would give other ids each day; this is Llama's own fallback.
TODAY = datetime(2024, 7, 26)
# A macro, because transformers turns a function given to a template into text.
FROZEN_DAY = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f".replace('%{code}', '{TODAY.strftime('%' + code)}')" for code in "aAbBdHIjmMpSyY")
    + " }}{%- endmacro +%}"
)


class Encoded(NamedTuple):
    """Ids of a prompt, generation prompt included, and of its response, end-of-turn token included."""

    prompt_ids: list[int]
    response_ids: list[int]


class Marked(NamedTuple):
    """Ids of a dialogue; `mask` is True on the tokens that the loss reads."""

    ids: list[int]
    mask: list[bool]


@dataclass(frozen=True)
class Refused:
    """A row that the chat template cannot carry, and why."""

    reason: str


@dataclass(frozen=True)
class Chat:
    """A tokenizer with its template, and patterns of the tokens that are not made of text."""

    tokenizer: "Tokenizer"
    template: str
    added: re.Pattern[str]  # every added token, those for runs of spaces apart
    special: re.Pattern[str]  # those among them that `split_special_tokens` can turn into text


class Turn(NamedTuple):
    """One assistant turn in the rendered text: `prefix + head + answer + tail + end`."""

    prefix: str  # from the end-of-turn token of the turn before, through the generation prompt
    head: str  # what the template writes between that and the answer, such as an empty thinking block
    answer: str
    tail: str  # what it writes between answer and end-of-turn token, such as Llama 2's space
    end: str  # the end-of-turn token; "" where the template has none


def chat_of(tokenizer: "Tokenizer", template: str | None) -> Chat:
    """The tokenizer with `template`, or else with its own."""
    own = tokenizer.chat_template
    if template is None and (not own or (isinstance(own, dict) and "default" not in own)):
        name, which = tokenizer.name_or_path or "the tokenizer", " called default" if own else ""
        raise ValueError(f"{name} has no chat template{which}; give one in the suite (`chat_template:`)")
    source = str(tokenizer.get_chat_template(template))
    dated = FROZEN_DAY + source if "strftime_now" in source else source
    added = [token for token in tokenizer.added_tokens_decoder.values() if token.content.strip()]
    special = [token.content for token in added if token.special]
    return Chat(tokenizer, dated, any_of([token.content for token in added]), any_of(special))


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern of any of the words, the longest first; of nothing where there are none."""
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or "(?!)")


def render(
    tokenizer: "Tokenizer", messages: Sequence[Message], *, template: str | None, add_generation_prompt: bool
) -> str:
    """The messages as text, by `template` or else by the tokenizer's own."""
    return written(chat_of(tokenizer, template), messages, add_generation_prompt)


def written(chat: Chat, messages: Sequence[Message], add_generation_prompt: bool) -> str:
    """The messages as the chat's template writes them, on a day that never changes."""
    return template_sandbox.run(chat.tokenizer, chat.template, messages, add_generation_prompt)


def encode_prompt(tokenizer: "Tokenizer", prompt: Sequence[Message], *, template: str | None) -> list[int]:
    """The ids that a model is asked to continue; never a BOS that the template did not write."""
    text = render(tokenizer, prompt, template=template, add_generation_prompt=True)
    return ids_of(tokenizer, [text])[0]


def encode_response(
    tokenizer: "Tokenizer", prompt: Sequence[Message], response: str, *, template: str | None
) -> Encoded:
    """The ids of a prompt and its response; `Unrenderable` where the template cannot carry them."""
    chat = chat_of(tokenizer, template)
    return encoded(chat, [answer_turn(chat, prompt, response)])[0]


def encode_responses(
    tokenizer: "Tokenizer", rows: Sequence[tuple[Sequence[Message], str]], *, template: str | None
) -> list[Encoded | Refused]:
    """The ids of many prompts and responses; what the template cannot carry is `Refused`, to be counted."""
    chat = chat_of(tokenizer, template)
    turns: list[Turn | Refused] = []
    for prompt, response in rows:
        try:
            turns.append(answer_turn(chat, prompt, response))
        except Unrenderable as why:
            turns.append(Refused(str(why)))
    ids = iter(encoded(chat, [turn for turn in turns if isinstance(turn, Turn)]))
    return [next(ids) if isinstance(turn, Turn) else turn for turn in turns]


def encode_dialogue(
    tokenizer: "Tokenizer",
    messages: Sequence[Message],
    *,
    template: str | None,
    loss_on: Literal["responses", "all"],
) -> Marked:
    """The ids of a dialogue up to its last end-of-turn token, and which of them the loss reads.

    "responses" are the assistant's turns with their end-of-turn tokens, "all" is everything.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError("a dialogue ends with an assistant turn")
    chat = chat_of(tokenizer, template)
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    turns = turns_of(chat, messages, answers)
    ids: list[int] = []
    mask: list[bool] = []
    for n, (before, response) in enumerate(encoded(chat, turns)):
        if n and turns[n - 1].end:
            before = before[1:]  # the end-of-turn token of the response before
        if not turns[n].end and n < len(turns) - 1:
            response = response[:-1]  # inside a dialogue stands only what the template writes
        ids += before + response
        mask += [loss_on == "all"] * len(before) + [True] * len(response)
    return Marked(ids, mask)


def end_ids(
    tokenizer: "Tokenizer", config: "GenerationConfig | None", *, template: str | None = None
) -> list[int]:
    """Ids that end an answer: EOS of tokenizer and generation config, and the template's own end of turn."""
    of_config = config.eos_token_id if config is not None else None
    ends = {tokenizer.eos_token_id, *(of_config if isinstance(of_config, list) else [of_config])}
    if template is not None or tokenizer.chat_template:
        chat = chat_of(tokenizer, template)
        _, answer, behind = written(chat, PROBE, False).rpartition(PROBE[1]["content"])
        if end := chat.added.search(behind if answer else ""):
            ends.add(tokenizer.convert_tokens_to_ids(end[0]))
    return sorted(ends - {None})


def typed_specials(tokenizer: "Tokenizer", text: str) -> list[str]:
    """The special tokens that stand in a text as characters, in order."""
    special = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return any_of(special).findall(text)


def answer_turn(chat: Chat, prompt: Sequence[Message], response: str) -> Turn:
    """A response as the template writes it after its prompt."""
    return turns_of(chat, [*prompt, {"role": "assistant", "content": response}], [len(prompt)])[0]


def turns_of(chat: Chat, messages: Sequence[Message], answers: Sequence[int]) -> list[Turn]:
    """The assistant turns at the indices `answers` as they are rendered; the last one ends the messages.

    A second rendering with stand-ins for these answers shows what the template writes around them.
    """
    text = written(chat, messages, False)
    blank: Message = {"role": "assistant", "content": STAND_IN}
    blanked = [blank if i in answers else message for i, message in enumerate(messages)]
    around = written(chat, blanked, False).split(STAND_IN)
    if len(around) != len(answers) + 1:
        raise Unrenderable("the chat template does not write every answer once")
    has_end = chat.added.search(around[-1]) is not None
    turns: list[Turn] = []
    start, ended = 0, 0  # behind the answer before, and behind its end-of-turn token
    for index, leading, behind in zip(answers, around, around[1:], strict=False):
        seam = written(chat, messages[:index], True)
        if not text.startswith(seam) or len(seam) < ended:
            raise Unrenderable("the chat template does not continue its own generation prompt")
        begin, start = answer_span(
            text, messages[index]["content"], (len(seam), start + len(leading)), behind
        )
        end = chat.added.search(text, start) if has_end else None
        lead = (turns[-1].end if turns else "") + text[ended : len(seam)]
        tail = text[start : end.start()] if end else ""
        turns.append(Turn(lead, text[len(seam) : begin], text[begin:start], tail, end[0] if end else ""))
        ended = end.end() if end else start
    return turns


def answer_span(text: str, answer: str, begins: tuple[int, int], behind: str) -> tuple[int, int]:
    """Where an answer stands before the text `behind` it: right at the seam, or after what the template adds.

    Templates may strip an answer's white space; one that changes more (that cuts thinking) is not followed.
    """
    for begin in begins:
        for form in (answer, answer.lstrip(), answer.rstrip(), answer.strip()):
            if begin >= begins[0] and text.startswith(form + behind, begin):
                return begin, begin + len(form)
    raise Unrenderable("the chat template rewrites an answer")


def encoded(chat: Chat, turns: Sequence[Turn]) -> list[Encoded]:
    """The ids of turns: those before the answer, and those of the response."""
    prompts = ids_of(chat.tokenizer, [turn.prefix for turn in turns])
    contexts = [context_of(chat, turn.prefix) for turn in turns]
    context_ids = ids_of(chat.tokenizer, contexts)
    texts = [
        context + turn.head + turn.answer + turn.tail for context, turn in zip(contexts, turns, strict=True)
    ]
    joint = ids_of(chat.tokenizer, texts)
    results = []
    for turn, prompt, context, joint_ids in zip(turns, prompts, context_ids, joint, strict=True):
        if chat.special.search(turn.answer) or joint_ids[: len(context)] != context:
            response = response_ids_alone(chat, turn)
        else:
            response = joint_ids[len(context) :]
        results.append(Encoded(prompt, [*response, end_id(chat, turn)]))
    return results


def context_of(chat: Chat, before: str) -> str:
    """What of the text before an answer can bear on its tokens: that from the last added token on."""
    starts = [match.start() for match in chat.added.finditer(before)]
    return before[starts[-1] :] if starts else before


def response_ids_alone(chat: Chat, turn: Turn) -> list[int]:
    """The ids of a response by itself, in which special tokens stand only where the template wrote them."""
    head, body = ids_of(chat.tokenizer, [turn.head]), turn.answer + turn.tail
    return head[0] + ids_of(chat.tokenizer, [body], split_special_tokens=True)[0]


def end_id(chat: Chat, turn: Turn) -> int:
    """The id that ends a response: the template's end-of-turn token, or EOS where it writes none."""
    if turn.end:
        return int(chat.tokenizer.convert_tokens_to_ids(turn.end))
    if chat.tokenizer.eos_token_id is None:
        raise ValueError("neither the chat template nor the tokenizer has a token that ends an answer")
    return int(chat.tokenizer.eos_token_id)


def ids_of(
    tokenizer: "Tokenizer", texts: Sequence[str], split_special_tokens: bool = False
) -> list[list[int]]:
    """The ids of each text, with nothing added; equal texts are tokenised once."""
    once = list(dict.fromkeys(texts))
    if not once:
        return []
    lists = tokenizer(once, add_special_tokens=False, split_special_tokens=split_special_tokens)["input_ids"]
    ids = dict(zip(once, lists, strict=True))
    return [list(ids[text]) for text in texts]
