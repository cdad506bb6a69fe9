"""What a model thinks in a text, by the marks that it makes of it: no part of an answer or a verdict."""

import re

# How models mark what they think, by the parsers of vLLM and SGLang and the tags of Open WebUI.
TAGS = (
    *("think", "thinking", "thought", "thoughts", "reason", "reasoning", "seed:think", "mm:think"),
    *(r"think:[\w-]+", "longcat_think", r"ifm\|think", r"ifm\|think_fast", r"ifm\|think_faster"),
)
MARKED = (  # what opens a thought, and what ends it
    *((rf"<{tag}(?:\s[^>]*)?>", rf"</{tag}\s*>") for tag in TAGS),
    (r"\[THINK\]", r"\[/THINK\]"),
    ("◁think▷", "◁/think▷"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>(?:\s*<\|START_(?:RESPONSE|TEXT)\|>)?"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>(?:\s*<\|begin_of_solution\|>)?"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (r"<\|content_thinking\|>", r"<\|content_text\|>"),
    (r"<\|open\|>think<\|sep\|>", r"<\|close\|>think<\|sep\|>(?:\s*<\|open\|>response<\|sep\|>)?"),
    (r"\[unused16\]", r"\[unused17\]"),
    ("<unused94>", "<unused95>"),
    (r"<\|channel>(?:thought)?", r"<channel\|>"),
    # Harmony's answer is the channel "final"; a decoder may have left nothing else of its marks.
    (
        r"(?:<\|start\|>assistant)?<\|channel\|>(?!\s*final)[^<]*(?:<\|message\|>)?",
        r"(?:<\|start\|>assistant|assistant)?<\|channel\|>\s*final(?:\s*<\|message\|>)?",
    ),
)
# Granite's, and harmony's where a server decodes it without any mark. At the beginning alone: answers may say
# such words.
PROCESS, RESPONSE = r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:"
WORDED = ((rf"\A\s*{PROCESS}", RESPONSE), (r"\A\s*analysis(?=.*assistantfinal)", "assistantfinal"))
BLOCKS = "|".join(f"(?:{opens}).*?(?:{ends})" for opens, ends in (*MARKED, *WORDED))
OPENS = "|".join(opens for opens, _ in MARKED)
ENDS = "|".join(ends for _, ends in MARKED)
UNENDED = "|".join(f"(?:{opens})(?!.*(?:{ends}))" for opens, ends in (*MARKED, *WORDED))
OUT_OF_CODE = r"(?:[^`]|`[^`]*`|`(?![^`]*`))*?"

BLOCK, MARK, OPENED, TO_AN_END, FROM_AN_UNENDED, LEADING = (
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        BLOCKS,
        f"{OPENS}|{ENDS}|{PROCESS}",
        rf"(?:{OPENS})\s*\Z",
        rf"\A.*?(?:{ENDS})",  # a template may open the thought itself
        rf"\A({OUT_OF_CODE})(?:{UNENDED}).*\Z",  # and a limit may cut it
        rf"\A(?:(?:\s*(?:{BLOCKS}))+\s*|(?:\s*(?:{OPENS}))?(?:(?!{OPENS}).)*?(?:{ENDS})\s*)?",
    )
)


def without_thoughts(text: str) -> str:
    """A reply without what its model thought, wherever: "<think>[[9]]?</think>Rating: [[3]]" ->
    "Rating: [[3]]". A thought that does not end goes on to the end.
    """
    return FROM_AN_UNENDED.sub(r"\1", TO_AN_END.sub("", BLOCK.sub("", text)))


def thoughts_and_answer(text: str) -> tuple[str, str]:
    """What a model thought before its answer or at its end, "" where nothing, and the answer:
    "<think>Hm</think>Yes" -> "<think>Hm</think>", "Yes". What an answer says in between of such marks stays.
    """
    leading = LEADING.match(text)
    assert leading
    rest = text[leading.end() :]
    cut = FROM_AN_UNENDED.match(rest)
    answer = cut[1].rstrip() if cut else rest
    return leading[0] + rest[len(answer) :], answer
