"""Chat templates to ids: what is rendered is what is tokenised, prompts are stable, answers end."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import GenerationConfig, PreTrainedTokenizerFast

from benchmarks.api import Message
from harness.data.chat_template import (
    Encoded,
    Refused,
    encode_dialogue,
    encode_prompt,
    encode_response,
    encode_responses,
    end_ids,
    render,
    typed_specials,
)
from harness.data.datasets import Source, load_pairs

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n'"
    " + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else none %}"
    "{% set turns = messages if system is none else messages[1:] %}"
    "{% for m in turns %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' }}"
    "{% if loop.first and system is not none %}{{ '<<SYS>>\n' + system + '\n<</SYS>>\n\n' }}{% endif %}"
    "{{ m['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# Qwen 3: an empty thinking block before the last answer, which the generation prompt leaves to the model.
QWEN_3 = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% set parts = m['content'].split('</think>') %}"
    "{% set thought = parts[0].replace('<think>', '') | trim if parts | length > 1 else '' %}"
    "{% if loop.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ parts[-1] | trim }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# gpt-oss: special tokens before the answer, another end inside a dialogue than at its end.
HARMONY = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|channel|>final' }}{% endif %}{{ '<|message|>' + m['content'] }}"
    "{{ '<|return|>' if loop.last and m['role'] == 'assistant' else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ '### ' + m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:' }}{% endif %}"
)

TEXT = [
    "### user: Hi, how are you today?\n### assistant: I am fine, thank you! And you?\n\nWell\n\nfine",
    "system [INST] <<SYS>> [/INST] final <think> </think> Zoë drinks naïve tea 🍵, doesn't she? 1, 2, 34.\n",
] * 4


def message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def byte_level(special: list[str], bos: str | None, eos: str, template: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE; with a BOS it adds that by itself, as Llama 3's."""
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(
        Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"), "isolated"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, special.index(bos))]
        )
    tokens = {"bos_token": bos, "eos_token": eos}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **tokens)


def sentence_piece() -> PreTrainedTokenizerFast:
    """A BPE over words with "▁" that adds BOS and opens every piece of text with "▁", as Llama 2's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    as_bytes = [f"<0x{i:02X}>" for i in range(256)]
    special = ["<unk>", "<s>", "</s>", *as_bytes]
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=500, special_tokens=special))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]

    tokenizer = Tokenizer(models.BPE(model["vocab"], merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special[:3]])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=LLAMA_2, **tokens)


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    headers = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ]
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    harmony = ["<|endoftext|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"]
    if name == "llama-2":
        return sentence_piece()
    return {
        "qwen": lambda: byte_level(chatml, None, "<|im_end|>", CHATML),
        "qwen-base": lambda: byte_level(chatml, None, "<|endoftext|>", CHATML),
        "qwen-3": lambda: byte_level(chatml, None, "<|im_end|>", QWEN_3),
        "llama-3": lambda: byte_level(headers, headers[0], "<|eot_id|>", LLAMA_3),
        "llama-3-base": lambda: byte_level(headers, headers[0], "<|end_of_text|>", LLAMA_3),
        "llama-3-chatml": lambda: byte_level([*chatml, "<s>"], "<s>", "<|im_end|>", CHATML),
        "harmony": lambda: byte_level(harmony, None, "<|return|>", HARMONY),
        "no-end": lambda: byte_level(chatml[:1], None, "<|endoftext|>", NO_END),
    }[name]()


NAMES = [
    "qwen",
    "qwen-base",
    "qwen-3",
    "llama-3",
    "llama-3-base",
    "llama-3-chatml",
    "llama-2",
    "harmony",
    "no-end",
]
PROMPTS: list[tuple[Message, ...]] = [
    (message("user", "Hi"),),
    (message("system", "Be kind.\n"), message("user", "Zoë drinks tea 🍵, doesn't she?")),
    (
        message("user", "Hi, how are you?"),
        message("assistant", "fine"),
        message("user", "  And\n\nyou?  "),
        message("assistant", "I am  fine,\nthank you!"),
        message("user", "34."),
    ),
]
ANSWERS = ["I am fine, thank you! And you?", "I", "日本語 🍵\n\n- naïve\n", "\n\n  Well.  ", "final", "###"]


def plain_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def rendered(tokenizer: PreTrainedTokenizerFast, *messages: Message, generate: bool = False) -> str:
    return render(tokenizer, messages, template=None, add_generation_prompt=generate)


def refusal(action: Callable[[], object]) -> str:
    """The one line in which an action is refused."""
    with pytest.raises(ValueError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def word_level() -> PreTrainedTokenizerFast:
    """One id a word: 0 <|im_start|>, 1 <|im_end|>, 2 user, 3 assistant, 4 Hi, 5 Hello, 6 there."""
    words = ["<|im_start|>", "<|im_end|>", "user", "assistant", "Hi", "Hello", "there", "[UNK]"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words[:2]])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", unk_token="[UNK]", chat_template=CHATML
    )


def test_a_chatml_pair_by_hand() -> None:
    """<|im_start|> user Hi <|im_end|> <|im_start|> assistant | Hello there <|im_end|>"""
    found = encode_response(word_level(), [message("user", "Hi")], "Hello there", template=None)
    assert found == Encoded([0, 2, 4, 1, 0, 3], [5, 6, 1])


def test_a_chatml_dialogue_by_hand() -> None:
    """user Hi | Hello <end> | user there | Hi <end>: the loss reads both answers with their ends."""
    turns = [message("user", "Hi"), message("assistant", "Hello")]
    turns += [message("user", "there"), message("assistant", "Hi")]
    found = encode_dialogue(word_level(), turns, template=None, loss_on="responses")
    assert found.ids == [0, 2, 4, 1, 0, 3, 5, 1, 0, 2, 6, 1, 0, 3, 4, 1]
    assert [i for i, read in enumerate(found.mask) if read] == [6, 7, 14, 15]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompt_and_response_are_the_rendered_template_up_to_its_end_of_turn(
    name: str, prompt: tuple[Message, ...], answer: str
) -> None:
    tokenizer = tokenizer_of(name)
    found = encode_response(tokenizer, prompt, answer, template=None)
    text = rendered(tokenizer, *prompt, message("assistant", answer))
    text = text.removesuffix("\n") if name == "no-end" else text
    ends = end_ids(tokenizer, None)

    assert found.prompt_ids == encode_prompt(tokenizer, prompt, template=None)
    assert found.prompt_ids == plain_ids(tokenizer, rendered(tokenizer, *prompt, generate=True))
    assert found.response_ids[-1] in ends and not {*found.response_ids[:-1]} & {*ends}
    whole = plain_ids(tokenizer, text)
    if whole[: len(found.prompt_ids)] == found.prompt_ids:
        ours = found.prompt_ids + found.response_ids[:-1]
        assert whole[: len(ours)] == ours
    else:  # a token spans the seam
        assert answer.startswith("\n")
        response = tokenizer.decode(found.response_ids[:-1])
        assert text.startswith(rendered(tokenizer, *prompt, generate=True) + response)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_one_leading_bos_where_the_template_writes_one(name: str) -> None:
    tokenizer = tokenizer_of(name)
    ids = encode_prompt(tokenizer, PROMPTS[1], template=None)
    writes_bos = name in ("llama-3", "llama-3-base", "llama-2")
    assert ids.count(tokenizer.bos_token_id) == (1 if writes_bos else 0)
    assert (ids[0] == tokenizer.bos_token_id) == writes_bos
    if tokenizer.bos_token_id is not None:
        assert tokenizer("Hi")["input_ids"][0] == tokenizer.bos_token_id  # the tokenizer would add one


def test_a_word_after_the_prompt_has_the_tokens_that_a_model_would_write() -> None:
    """Llama 2 opens every text with "▁": the answer by itself would begin with one space too many."""
    tokenizer = tokenizer_of("llama-2")
    found = encode_response(tokenizer, PROMPTS[0], "fine", template=None)
    assert found.response_ids == [*plain_ids(tokenizer, "fine "), tokenizer.eos_token_id]
    assert found.response_ids != [*plain_ids(tokenizer, " fine "), tokenizer.eos_token_id]


def test_an_answer_that_would_melt_into_the_prompt_is_tokenised_apart() -> None:
    tokenizer = tokenizer_of("qwen")
    found = encode_response(tokenizer, PROMPTS[0], "\nfine", template=None)
    assert found.response_ids == [*plain_ids(tokenizer, "\nfine"), tokenizer.eos_token_id]
    assert found.prompt_ids == encode_prompt(tokenizer, PROMPTS[0], template=None)
    assert plain_ids(tokenizer, "assistant\n\nfine") != plain_ids(tokenizer, "assistant\n") + plain_ids(
        tokenizer, "\nfine"
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss_on", ["responses", "all"])
def test_a_dialogue_has_the_ids_of_its_pairs_and_the_loss_reads_every_answer(
    name: str, loss_on: Literal["responses", "all"]
) -> None:
    tokenizer = tokenizer_of(name)
    messages = (*PROMPTS[2], message("assistant", "I am fine, thank you!"))
    found = encode_dialogue(tokenizer, messages, template=None, loss_on=loss_on)
    last = encode_response(tokenizer, messages[:-1], messages[-1]["content"], template=None)
    assert found.ids == last.prompt_ids + last.response_ids
    assert len(found.mask) == len(found.ids)
    if loss_on == "all":
        assert all(found.mask)
        return
    read = tokenizer.decode([i for i, seen in zip(found.ids, found.mask, strict=True) if seen])
    inner, end = {"harmony": ("<|channel|>final<|message|>", "<|end|>"), "no-end": ("", "")}.get(
        name, ("", tokenizer.decode(last.response_ids[-1:]))
    )
    head = {"qwen-3": "<think>\n\n</think>\n\n", "harmony": inner}.get(name, "")
    texts = ["fine", "I am  fine,\nthank you!", "I am fine, thank you!"]
    expected = f"{inner}{texts[0]}{end}{inner}{texts[1]}{end}{head}{texts[2]}"
    squeezed = read.replace(" ", "")
    assert squeezed == expected.replace(" ", "") + tokenizer.decode(last.response_ids[-1:])


def test_a_system_turn_is_not_read_by_the_loss_on_responses() -> None:
    messages = (*PROMPTS[1], message("assistant", "Well."))
    found = encode_dialogue(tokenizer_of("llama-3"), messages, template=None, loss_on="responses")
    prompt = encode_prompt(tokenizer_of("llama-3"), PROMPTS[1], template=None)
    assert found.mask == [False] * len(prompt) + [True] * (len(found.ids) - len(prompt))


def test_a_dialogue_without_a_last_answer_is_refused() -> None:
    for messages in ((), PROMPTS[0]):
        assert "ends with an assistant turn" in refusal(
            lambda messages=messages: encode_dialogue(
                tokenizer_of("qwen"), messages, template=None, loss_on="all"
            )
        )


@pytest.mark.parametrize("name", ["qwen", "llama-3", "llama-2", "harmony"])
def test_special_tokens_typed_into_an_answer_stay_text(name: str) -> None:
    tokenizer = tokenizer_of(name)
    end = tokenizer.eos_token
    answer = f"Write {end} to stop. {end}"
    assert typed_specials(tokenizer, answer) == [end, end] and not typed_specials(tokenizer, "plain")

    found = encode_response(tokenizer, PROMPTS[0], answer, template=None)
    assert found.response_ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(found.response_ids).count(end) == 3

    messages = (
        *PROMPTS[0],
        message("assistant", answer),
        message("user", "34"),
        message("assistant", answer),
    )
    dialogue = encode_dialogue(tokenizer, messages, template=None, loss_on="responses")
    read = [i for i, seen in zip(dialogue.ids, dialogue.mask, strict=True) if seen]
    ends = {*end_ids(tokenizer, None), *plain_ids(tokenizer, "<|end|>" if name == "harmony" else "")}
    assert sum(i in ends for i in read) == 2 and tokenizer.decode(read).count("Write") == 2


def test_a_tokenizer_tokenises_as_before_after_an_answer_with_special_tokens() -> None:
    tokenizer = tokenizer_of("qwen")
    encode_response(tokenizer, PROMPTS[0], "<|im_end|>", template=None)
    assert plain_ids(tokenizer, "<|im_end|>") == [tokenizer.eos_token_id]


def test_thinking_stays_in_the_last_answer_and_is_refused_where_the_template_cuts_it() -> None:
    tokenizer, thought = tokenizer_of("qwen-3"), "<think>\nwell\n</think>\n\nI am fine"
    found = encode_response(tokenizer, PROMPTS[0], thought, template=None)
    assert tokenizer.decode(found.response_ids) == thought + "<|im_end|>"
    empty = encode_response(tokenizer, PROMPTS[0], "I am fine", template=None)
    assert tokenizer.decode(empty.response_ids) == "<think>\n\n</think>\n\nI am fine<|im_end|>"

    messages = (
        *PROMPTS[0],
        message("assistant", thought),
        message("user", "34"),
        message("assistant", "fine"),
    )
    message_ = refusal(lambda: encode_dialogue(tokenizer, messages, template=None, loss_on="responses"))
    assert message_ == "the chat template rewrites an answer"


def test_many_responses_are_encoded_as_one_by_one_and_refused_rows_keep_their_place() -> None:
    tokenizer = tokenizer_of("llama-2")
    rows = [(prompt, answer) for prompt in PROMPTS for answer in ANSWERS]
    rows.insert(1, ((message("assistant", "Hi"),), "fine"))
    found = encode_responses(tokenizer, rows, template=None)
    assert found[1] == Refused("the chat template refuses: roles must alternate")
    alone = [encode_response(tokenizer, *row, template=None) for i, row in enumerate(rows) if i != 1]
    assert [f for f in found if isinstance(f, Encoded)] == alone
    assert encode_responses(tokenizer, [], template=None) == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            CHATML.replace("<|im_start|>assistant", "<|im_start|>bot"),
            "does not continue its own generation prompt",
        ),
        (CHATML.replace("m['content']", "m['content'] | upper"), "rewrites an answer"),
        (CHATML.replace("m['content']", "m['content'] + m['content']"), "does not write every answer once"),
        ("{% for m in messages %}", "the chat template is broken at line 1"),
    ],
)
def test_a_template_that_breaks_the_rules_is_refused(template: str, words: str) -> None:
    assert words in refusal(
        lambda: encode_response(tokenizer_of("qwen"), PROMPTS[0], "fine", template=template)
    )


def test_the_template_of_the_suite_comes_before_the_tokenizers_own() -> None:
    tokenizer = tokenizer_of("qwen-base")
    assert (
        render(tokenizer, PROMPTS[0], template=NO_END, add_generation_prompt=True)
        == "### user: Hi\n### assistant:"
    )
    found = encode_response(tokenizer, PROMPTS[0], "fine", template=NO_END)
    assert found.response_ids == [*plain_ids(tokenizer, " fine"), tokenizer.eos_token_id]


def test_a_tokenizer_without_a_template_is_refused_with_the_remedy() -> None:
    bare = word_level()
    bare.chat_template = None
    assert "`chat_template:`" in refusal(lambda: encode_prompt(bare, PROMPTS[0], template=None))
    assert encode_prompt(bare, [message("user", "Hi")], template=CHATML) == [0, 2, 4, 1, 0, 3]
    assert end_ids(bare, None) == [1]


@pytest.mark.parametrize(
    ("call", "day"),
    [("strftime_now('%d %b %Y')", "26 Jul 2024"), ("strftime_now('%A, %B %d') | upper", "FRIDAY, JULY 26")],
)
def test_a_template_that_prints_the_date_gives_the_same_ids_every_day(call: str, day: str) -> None:
    template = f"\n{{% if strftime_now is defined %}}{{{{ {call} }}}}{{% endif %}}" + CHATML
    text = render(tokenizer_of("qwen"), PROMPTS[0], template=template, add_generation_prompt=False)
    assert text == f"\n{day}" + rendered(tokenizer_of("qwen"), *PROMPTS[0])


@pytest.mark.parametrize(
    ("name", "of_config", "expected"),
    [
        ("qwen", None, ["<|im_end|>"]),
        ("qwen-base", None, ["<|endoftext|>", "<|im_end|>"]),
        ("llama-3-base", None, ["<|end_of_text|>", "<|eot_id|>"]),
        ("llama-3-base", "<|end_of_text|>", ["<|end_of_text|>", "<|eot_id|>"]),
        ("llama-3", ["<|end_of_text|>", "<|eot_id|>"], ["<|end_of_text|>", "<|eot_id|>"]),
        ("llama-2", None, ["</s>"]),
        ("harmony", None, ["<|return|>"]),
        ("no-end", None, ["<|endoftext|>"]),
    ],
)
def test_an_answer_ends_at_every_token_that_can_end_it(
    name: str, of_config: Any, expected: list[str]
) -> None:
    tokenizer = tokenizer_of(name)
    config = GenerationConfig(eos_token_id=of_config and tokenizer.convert_tokens_to_ids(of_config))
    assert tokenizer.convert_ids_to_tokens(end_ids(tokenizer, config)) == expected
    if of_config is None:
        assert end_ids(tokenizer, None) == end_ids(tokenizer, config)


def test_an_answer_that_nothing_can_end_is_refused() -> None:
    endless = word_level()
    endless.eos_token = None
    message_ = refusal(lambda: encode_response(endless, [message("user", "Hi")], "Hello", template=NO_END))
    assert message_ == "neither the chat template nor the tokenizer has a token that ends an answer"


def test_real_pairs_share_their_prompt_and_keep_every_answer(shared_data: Path) -> None:
    source = Source(str(shared_data / "preference" / "hh_rlhf_harmless_base_test.jsonl.gz"), "train[:200]")
    tokenizer, pairs = tokenizer_of("qwen"), load_pairs(source).rows
    rows = [(pair.prompt, answer) for pair in pairs for answer in (pair.chosen, pair.rejected)]
    found = encode_responses(tokenizer, rows, template=None)
    for (prompt, answer), ids in zip(rows, found, strict=True):
        assert isinstance(ids, Encoded)
        assert tokenizer.decode(ids.prompt_ids) == rendered(tokenizer, *prompt, generate=True)
        assert tokenizer.decode(ids.response_ids) == answer + "<|im_end|>"
