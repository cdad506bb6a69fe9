"""What a thought is as patterns: benchmarks/thoughts.py word by word, in time that grows with the square."""

import re

from benchmarks.thoughts import ENDS, MARKED, OPENS, PROCESS, RESPONSE

WORDED = ((rf"\A\s*{PROCESS}", RESPONSE), (r"\A\s*analysis(?=.*assistantfinal)", "assistantfinal"))
PAIRS = (*((head + rest, ends) for head, rest, ends in MARKED), *WORDED)
BLOCKS = "|".join(f"(?:{opens}).*?(?:{ends})" for opens, ends in PAIRS)
UNENDED = "|".join(f"(?:{opens})(?!.*(?:{ends}))" for opens, ends in PAIRS)
OUT_OF_CODE = r"(?:[^`]|`[^`]*`|`(?![^`]*`))*?"

BLOCK, TO_AN_END, FROM_AN_UNENDED, LEADING = (
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        BLOCKS,
        rf"\A.*?(?:{ENDS})",
        rf"\A({OUT_OF_CODE})(?:{UNENDED}).*\Z",
        rf"\A(?:(?:\s*(?:{BLOCKS}))+\s*|(?:\s*(?:{OPENS}))?(?:(?!{OPENS}).)*?(?:{ENDS})\s*)?",
    )
)


def without_thoughts(text: str) -> str:
    return FROM_AN_UNENDED.sub(r"\1", TO_AN_END.sub("", BLOCK.sub("", text)))


def thoughts_and_answer(text: str) -> tuple[str, str]:
    leading = LEADING.match(text)
    assert leading
    rest = text[leading.end() :]
    cut = FROM_AN_UNENDED.match(rest)
    answer = cut[1].rstrip() if cut else rest
    return leading[0] + rest[len(answer) :], answer
