"""What Arena-Hard's judge is told: instructions, and a template for a question and two answers.

The texts are those of lmarena/arena-hard-auto (Apache-2.0). A folder's arena-hard-<version>.yaml may hold
others, as upstream's config/ has them: `prompt_template`, and `system_prompt` in those of 2024.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.api import Message, Question
from benchmarks.json_files import json_of

PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Upstream's names for what is filled in: those of 2025, and those of 2024.
PLACES = (("QUESTION", "ANSWER_A", "ANSWER_B"), ("question_1", "answer_1", "answer_2"))

TEXTS: dict[str, str] = json_of(Path(__file__).with_name("prompts.json"))
TEMPLATE = TEXTS["template"]


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
        # Upstream has the judge write an answer of its own first, but not in creative writing.
        own = TEXTS["no_own_answer" if question.category == "creative_writing" else "own_answer"]
        system = self.system or TEXTS["opening"] + own + TEXTS["criteria"]
        user = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), self.template)
        return (Message(role="system", content=system), Message(role="user", content=user))


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
