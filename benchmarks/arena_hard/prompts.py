"""What Arena-Hard's judge is told: instructions, and a template for a question and two answers.

The texts are those of lmarena/arena-hard-auto (Apache-2.0). A folder's arena-hard-<version>.yaml may hold
others, as upstream's config/ has them: `prompt_template`, and `system_prompt` in those of 2024.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.api import Message, Question

PLACEHOLDER = re.compile(r"\{(\w+)\}")
PLACES = (("QUESTION", "ANSWER_A", "ANSWER_B"), ("question_1", "answer_1", "answer_2"))

OPENING = (
    "Please act as an impartial judge and evaluate the quality of the responses provided by two AI "
    "assistants to the user prompt displayed below. You will be given assistant A's answer and "
    "assistant B's answer. Your job is to evaluate which assistant's answer is better.\n\n"
)
OWN_ANSWER = (
    "Begin your evaluation by generating your own answer to the prompt. You must provide your answers "
    "before judging any answers.\n\n"
    "When evaluating the assistants' answers, compare both assistants' answers with your answer. "
)
NO_OWN_ANSWER = "When evaluating the assistants' answers, compare both assistants' answers. "
CRITERIA = (
    "You must identify and correct any mistakes or inaccurate information.\n\n"
    "Then consider if the assistant's answers are helpful, relevant, and concise. Helpful means the "
    "answer correctly responds to the prompt or follows the instructions. Note when user prompt has "
    "any ambiguity or more than one interpretation, it is more helpful and appropriate to ask for "
    "clarifications or more information from the user than providing an answer based on assumptions. "
    "Relevant means all parts of the response closely connect or are appropriate to what is being "
    "asked. Concise means the response is clear and not verbose or excessive.\n\n"
    "Then consider the creativity and novelty of the assistant's answers when needed. Finally, "
    "identify any missing important information in the assistants' answers that would be beneficial to "
    "include when responding to the user prompt.\n\n"
    "After providing your explanation, you must output only one of the following choices as your final "
    "verdict with a label:\n\n"
    "1. Assistant A is significantly better: [[A>>B]]\n"
    "2. Assistant A is slightly better: [[A>B]]\n"
    "3. Tie, relatively the same: [[A=B]]\n"
    "4. Assistant B is slightly better: [[B>A]]\n"
    "5. Assistant B is significantly better: [[B>>A]]\n\n"
    'Example output: "My final verdict is tie: [[A=B]]".'
)
SYSTEM = OPENING + OWN_ANSWER + CRITERIA
SYSTEM_CREATIVE = OPENING + NO_OWN_ANSWER + CRITERIA
TEMPLATE = (
    "<|User Prompt|>\n{QUESTION}\n\n<|The Start of Assistant A's Answer|>\n{ANSWER_A}\n"
    "<|The End of Assistant A's Answer|>\n\n<|The Start of Assistant B's Answer|>\n{ANSWER_B}\n"
    "<|The End of Assistant B's Answer|>"
)


@dataclass(frozen=True)
class Prompt:
    """`template` is filled in; `system` replaces the category's own instructions where it is not empty."""

    template: str = TEMPLATE
    system: str = ""

    def messages(self, question: Question, a: str, b: str) -> tuple[Message, ...]:
        """What the judge sees of answers `a` and `b`.

        Filled in one pass: a placeholder inside an answer stays as it is. Both of upstream's spellings.
        """
        asked = question.turns[0]
        values = {"QUESTION": asked, "ANSWER_A": a, "ANSWER_B": b}
        values |= {"question_1": asked, "answer_1": a, "answer_2": b}
        own = SYSTEM_CREATIVE if question.category == "creative_writing" else SYSTEM
        user = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), self.template)
        return (Message(role="system", content=self.system or own), Message(role="user", content=user))


def read(folder: Path, version: str) -> Prompt:
    """The prompt of a folder's arena-hard-<version>.yaml, and what it lacks from here.

    ValueError: a template without a place for the question or for one of the answers.
    """
    path = folder / f"arena-hard-{version}.yaml"
    if not path.is_file():
        return Prompt()
    from ruamel.yaml import YAML  # the standard library reads no YAML

    config = YAML(typ="safe").load(path) or {}
    template = config.get("prompt_template", TEMPLATE)
    template = template if isinstance(template, str) else template[0]  # of 2024: a list of one
    found = set(PLACEHOLDER.findall(template))
    if not any(set(names) <= found for names in PLACES):
        raise ValueError(
            f"{path}: prompt_template wants {' or '.join('{' + '}, {'.join(n) + '}' for n in PLACES)}"
        )
    return Prompt(template, config.get("system_prompt") or "")
