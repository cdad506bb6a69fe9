"""The rule as a judge: it sees a judge's messages only, and answers in the benchmark's own format.

    MT-Bench, single-answer grading   ->  This answer gets 7 of 10 points. Rating: [[7]]
    AlpacaEval, two answers to rank   ->  [{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]

Answers of equal worth share rank 1. Where the messages hold no question of this world, the reply holds no
verdict. An answer may itself hold pieces of the template: a conversation is read in every way that its
delimiters allow and gets the least of these scores; two answers that cannot be told apart get no verdict.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.api import Message, Reply
from harness.pocket.facts import Facts, load_facts
from harness.pocket.questions import parse
from harness.pocket.scoring import score

NO_VERDICT = Reply("I find no question of the pocket world in this.")

SINGLE = re.compile(
    r"\[Question\]\n(?P<question>.*?)\n\n\[The Start of (?:Reference|Assistant's) Answer\]\n"
    r".*?(?<=\[The Start of Assistant's Answer\]\n)(?P<answer>.*)\n\[The End of Assistant's Answer\]",
    re.DOTALL,
)
TALK = re.compile(
    r"<\|The Start of Assistant A's Conversation with User\|>\n\n(?P<talk>.*)\n\n"
    r"<\|The End of Assistant A's Conversation with User\|>",
    re.DOTALL,
)
USER, ASSISTANT = "### User:\n", "\n\n### Assistant A:\n"
PAIR = re.compile(
    r'"instruction": """(?P<question>.*?)""",\n\}.*?"model": "model_1",\n\s*"answer": """(?P<answers>.*)"""'
    r"\n\s*\}\n\]\n\nNow please rank",
    re.DOTALL,
)
BETWEEN = re.compile(r'"""\n\s*\},\n\s*\{\n\s*"model": "model_2",\n\s*"answer": """')


class RuleJudge:
    """The pocket world's exact judge; `world_folder` holds world.json."""

    def __init__(self, world_folder: Path | str) -> None:
        self.facts: Facts = load_facts(Path(world_folder))

    def __call__(self, messages: Sequence[Message]) -> Reply:
        """The verdict on what the last user message asks to judge."""
        asked = [m["content"] for m in messages if m["role"] == "user"]
        if not asked:
            return NO_VERDICT
        readers = ((TALK, _rate_talk), (SINGLE, _rate_single), (PAIR, _rank))
        # the format is the one whose delimiter stands first: an answer stands after it
        found = [(m.start(), read, m) for pattern, read in readers if (m := pattern.search(asked[-1]))]
        if not found:
            return NO_VERDICT
        _, read, match = min(found, key=lambda f: f[0])
        return read(self.facts, match)


def _rate_single(facts: Facts, found: re.Match[str]) -> Reply:
    return _rating(facts, [((found["question"],), found["answer"])])


def _rate_talk(facts: Facts, found: re.Match[str]) -> Reply:
    return _rating(facts, list(_conversations(found["talk"])))


def _rating(facts: Facts, readings: Sequence[tuple[tuple[str, ...], str]]) -> Reply:
    """The least score over the readings that hold a question."""
    # The least, so that an answer cannot forge a delimiter and be read in a kinder way.
    scores = [score(facts, turns, answer) for turns, answer in readings if parse(turns, facts)]
    if not scores:
        return NO_VERDICT
    return Reply(f"This answer gets {min(scores)} of 10 points. Rating: [[{min(scores)}]]")


# Greedy patterns would settle on one reading without a word; all of them are few and cheap to score.
def _conversations(talk: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Every reading of user, assistant, user, assistant: ((question 1, question 2), answer 2)."""
    first, _, rest = talk.removeprefix(USER).partition(ASSISTANT)
    for start in re.finditer("\n\n" + re.escape(USER), rest):
        second, found, answer = rest[start.end() :].partition(ASSISTANT)
        if found:
            yield (first, second), answer


def _rank(facts: Facts, found: re.Match[str]) -> Reply:
    turns, answers = (found["question"],), BETWEEN.split(found["answers"])
    if len(answers) != 2 or not parse(turns, facts):
        return NO_VERDICT
    first, second = (score(facts, turns, answer) for answer in answers)
    ranks = (1 if first >= second else 2, 1 if second >= first else 2)
    rows = ",\n".join(f"    {{'model': 'model_{n}', 'rank': {rank}}}" for n, rank in enumerate(ranks, 1))
    return Reply(f"[\n{rows}\n]")
