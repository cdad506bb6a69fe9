"""What Arena-Hard's judge is told: instructions, and a template for a question and two answers.

The texts are those of lmarena/arena-hard-auto (Apache-2.0). A folder's arena-hard-<version>.yaml may hold
others, as upstream's config/ has them: `prompt_template`, and `system_prompt` in those of 2024.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, PlainValidator

from benchmarks.api import Message, Question
from benchmarks.file_bytes import text_of
from benchmarks.json_files import checked, json_of, shown
from benchmarks.text import cut

PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Upstream's names for what is filled in: those of 2025, and those of 2024.
PLACES = (("QUESTION", "ANSWER_A", "ANSWER_B"), ("question_1", "answer_1", "answer_2"))

TEXTS: dict[str, str] = json_of(Path(__file__).with_name("prompts.json"))
TEMPLATE = TEXTS["template"]


def _one_text(value: Any) -> Any:
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(text, str):
        raise ValueError("a text, or a list of one")
    return value


class Config(BaseModel):
    """What is read of a folder's file; of 2024 the template is a list of one."""

    prompt_template: Annotated[Any, PlainValidator(_one_text)] = TEMPLATE
    system_prompt: str | None = None


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

    ValueError: what is no YAML, no text, or a template without a place for the question or for one of the
    answers.
    """
    path = folder / f"arena-hard-{version}.yaml"
    if not path.is_file():
        return Prompt()
    config = checked(_mapping(path), Config, str(path), "a judge's config")
    given = config.get("prompt_template", TEMPLATE)
    template = given if isinstance(given, str) else given[0]
    found = set(PLACEHOLDER.findall(template))
    if not any(set(names) <= found for names in PLACES):
        raise ValueError(
            f"{path}: prompt_template wants {' or '.join('{' + '}, {'.join(n) + '}' for n in PLACES)}"
        )
    return Prompt(template, config.get("system_prompt") or "")


def _mapping(path: Path) -> dict[str, Any]:
    """The YAML of a file. ValueError where it is none, or no mapping."""
    from ruamel.yaml import YAML  # the standard library reads no YAML
    from ruamel.yaml.error import YAMLError

    text = text_of(path)
    try:
        config = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date that is none
        raise ValueError(
            f"{path}: not YAML that is read: {cut(' '.join(str(error).split()), 120)}"
        ) from error
    if not isinstance(config, dict | None):
        raise ValueError(f"{path}: given {shown(config)}; a mapping")
    return config or {}
