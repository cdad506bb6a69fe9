"""What a model thinks in a text, by the marks that it makes of it: no part of an answer or a verdict.

Marks are found once, and read from left to right: a pattern that looks for an end anew from each of a reply's
marks takes a minute for some thousands.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

# How models mark what they think, by the parsers of vLLM and SGLang and the tags of Open WebUI.
TAGS = (
    *("think", "thinking", "thought", "thoughts", "reason", "reasoning", "seed:think", "mm:think"),
    *(r"think:[\w-]+", "longcat_think", r"ifm\|think", r"ifm\|think_fast", r"ifm\|think_faster"),
)
OF_TAG, OF_CHANNEL = r"(?:\s[^>]*)?>", r"[^<]*(?:<\|message\|>)?"  # what may follow the head of a mark
NAMED = r"(?=[\s>])"  # the whole of a tag's name
MARKED = (  # what opens a thought, its head and what follows it, and what ends it
    *((f"<{tag}", OF_TAG, rf"</{tag}\s*>") for tag in TAGS),
    (r"\[THINK\]", "", r"\[/THINK\]"),
    ("◁think▷", "", "◁/think▷"),
    (r"<\|START_THINKING\|>", "", r"<\|END_THINKING\|>(?:\s*<\|START_(?:RESPONSE|TEXT)\|>)?"),
    (r"<\|begin_of_thought\|>", "", r"<\|end_of_thought\|>(?:\s*<\|begin_of_solution\|>)?"),
    (r"<\|inner_prefix\|>", "", r"<\|inner_suffix\|>"),
    (r"<\|content_thinking\|>", "", r"<\|content_text\|>"),
    (r"<\|open\|>think<\|sep\|>", "", r"<\|close\|>think<\|sep\|>(?:\s*<\|open\|>response<\|sep\|>)?"),
    (r"\[unused16\]", "", r"\[unused17\]"),
    ("<unused94>", "", "<unused95>"),
    (r"<\|channel>(?:thought)?", "", r"<channel\|>"),
    # Harmony's answer is the channel "final"; a decoder may have left nothing else of its marks.
    (
        r"(?:<\|start\|>assistant)?<\|channel\|>(?!\s*final)",
        OF_CHANNEL,
        r"(?:<\|start\|>assistant|assistant)?<\|channel\|>\s*final(?:\s*<\|message\|>)?",
    ),
)
# Granite's, and harmony's where a server decodes it without any mark. At the beginning alone: answers may say
# such words.
PROCESS, RESPONSE = r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:"
WORDS = (
    rf"\A\s*{PROCESS}.*?{RESPONSE}|\A\s*analysis.*?assistantfinal",
    rf"\A\s*{PROCESS}(?!.*{RESPONSE})",
)
HEADS = [head + NAMED if rest == OF_TAG else head for head, rest, _ in MARKED]
OPENS = "|".join(head + rest for head, rest, _ in MARKED)
ENDS = "|".join(ends for *_, ends in MARKED)
BEGUN = r"(?=[<\[◁a])(?:"  # how all of them begin, which is sooner seen than that none of them is there

MARK, OPENED, HEAD, END, WORDED, UNENDED_WORDS, LEAD, MESSAGE, SPACE, CODE = (
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        f"{OPENS}|{ENDS}|{PROCESS}",
        rf"(?:{OPENS})\s*\Z",
        BEGUN + "|".join(f"(?P<k{i}>{head})" for i, head in enumerate(HEADS)) + ")",
        BEGUN + "|".join(f"(?P<k{i}>{ends})" for i, (*_, ends) in enumerate(MARKED)) + ")",
        *WORDS,
        r"(?:(?:<\|start\|>)?assistant)?",
        r"(?:<\|message\|>)?",
        r"\s*",
        r"`[^`]*`",
    )
)


class _Mark(NamedTuple):
    """A mark: `inner` is where an opening one's head ends, and where an ending one's sign itself begins."""

    start: int
    inner: int
    end: int
    kind: str


class _Marks:
    """All marks of a text, in their order."""

    def __init__(self, text: str) -> None:
        self.opens = list(_opening(text))
        found = ((m, LEAD.match(text, m.start())) for m in END.finditer(text))
        self.ends = [_Mark(m.start(), lead.end(), m.end(), str(m.lastgroup)) for m, lead in found if lead]
        self._starts, self._inners = [m.start for m in self.opens], [m.inner for m in self.ends]
        self._of_kind: dict[str, tuple[list[int], list[int]]] = {}
        for m in self.ends:
            inners, ends = self._of_kind.setdefault(m.kind, ([], []))
            inners.append(m.inner)
            ends.append(m.end)

    def end_of(self, opened: _Mark) -> int | None:
        """Where the thought ends that a mark opens; None where it does not."""
        inners, ends = self._of_kind.get(opened.kind, ([], []))
        at = bisect_left(inners, opened.end)
        return ends[at] if at < len(ends) else None

    def opened_at(self, place: int) -> _Mark | None:
        """The mark that opens a thought there."""
        at = bisect_left(self._starts, place)
        return self.opens[at] if at < len(self.opens) and self.opens[at].start == place else None

    def end_of_unopened(self, start: int) -> int | None:
        """Where a thought ends that goes on from `start`; None where a mark opens another before."""
        at = bisect_left(self._inners, start)
        if at == len(self.ends):
            return None
        first = bisect_left(self._starts, start)
        is_free = first == len(self.opens) or self.opens[first].start >= max(start, self.ends[at].start)
        return self.ends[at].end if is_free else None


def _opening(text: str) -> Iterator[_Mark]:
    """Those that open a thought. What closes a tag, or a channel's name, is looked for once for all."""
    after_tag = after_name = 0
    for m in HEAD.finditer(text):
        kind, end = str(m.lastgroup), m.end()
        rest = MARKED[int(kind[1:])][1]
        if rest == OF_TAG:
            if after_tag <= end:
                after_tag = text.find(">", end) + 1 or len(text) + 1
            end = after_tag
        elif rest == OF_CHANNEL:
            if after_name < end:
                after_name = text.find("<", end)
                after_name = len(text) if after_name < 0 else after_name
            message, lead = MESSAGE.match(text, after_name), LEAD.match(text, m.start())
            assert message and lead  # both match nothing too
            end = message.end()
            if lead.end() > m.start():
                yield _Mark(m.start(), m.end(), end, kind)
                yield _Mark(lead.end(), m.end(), end, kind)
                continue
        if end <= len(text):
            yield _Mark(m.start(), m.end(), end, kind)


def _space(text: str, start: int) -> int:
    """Where what is no space begins."""
    found = SPACE.match(text, start)
    assert found
    return found.end()


def _without_whole(text: str) -> str:
    """Without every thought that begins and ends."""
    marks, worded = _Marks(text), WORDED.match(text)
    parts, place = [], worded.end() if worded else 0
    for opened in marks.opens:
        if opened.start >= place and (end := marks.end_of(opened)) is not None:
            parts.append(text[place : opened.start])
            place = end
    return "".join([*parts, text[place:]])


def _cut(text: str) -> int:
    """Where a thought begins that does not end, out of code; the length of the text where there is none."""
    if UNENDED_WORDS.match(text):
        return 0
    marks, code = _Marks(text), CODE.finditer(text)
    span = next(code, None)
    for opened in marks.opens:
        while span and span.end() <= opened.start:
            span = next(code, None)
        in_code = span and span.start() < opened.start
        if not in_code and marks.end_of(opened) is None:
            return opened.start
    return len(text)


def _led(text: str) -> int:
    """Where an answer begins after the thoughts before it."""
    marks, worded = _Marks(text), WORDED.match(text)
    end, place = None, 0
    while True:
        opened = marks.opened_at(_space(text, place))
        end = marks.end_of(opened) if opened else None
        if end is None and place == 0 and worded:
            end = worded.end()
        if end is None:
            break
        place = end
    if place:
        return _space(text, place)
    # A template may open the thought itself, and leave the mark's end alone, or another's.
    opened = marks.opened_at(_space(text, 0))
    end = marks.end_of_unopened(opened.end if opened else 0)
    if opened and end is None:
        # An end may stand in what was taken for a channel's name.
        within = [m.end for m in marks.ends if opened.inner <= m.start < opened.end]
        is_channel = MARKED[int(opened.kind[1:])][1] == OF_CHANNEL
        end = within[-1] if is_channel and within else None
    return _space(text, end) if end is not None else 0


def without_thoughts(text: str) -> str:
    """A reply without what its model thought, wherever: "<think>[[9]]?</think>Rating: [[3]]" ->
    "Rating: [[3]]". A thought that does not end goes on to the end.
    """
    whole = _without_whole(text)
    # A template may open the thought itself, and a limit may cut it.
    ended = END.search(whole)
    rest = whole[ended.end() :] if ended else whole
    return rest[: _cut(rest)]


def thoughts_and_answer(text: str) -> tuple[str, str]:
    """What a model thought before its answer or at its end, "" where nothing, and the answer:
    "<think>Hm</think>Yes" -> "<think>Hm</think>", "Yes". What an answer says in between of such marks stays.
    """
    led = _led(text)
    rest = text[led:]
    cut = _cut(rest)
    answer = rest[:cut].rstrip() if cut < len(rest) else rest
    return text[:led] + rest[len(answer) :], answer
