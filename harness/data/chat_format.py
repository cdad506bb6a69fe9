"""How a model is spoken to: chat template, special tokens, end tokens and tokenizer. The models of a pair are
spoken to alike.

    teacher a: other chat template, end tokens than student b: both are spoken to as the student is

Signals compare teacher and student token by token, so both read the same ids. A teacher whose folder would
have it asked or stopped otherwise is used with the student's tokenizer, in a step of its own; where nothing
differs there is no such step.
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic

from benchmarks.file_bytes import text_of
from benchmarks.thoughts import MARK
from harness.common.cost import ModelSize
from harness.common.input import model_files
from harness.common.tokenizer import check_same_tokens, load_tokenizer
from harness.store.integrity import RECORD
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work

Format = Mapping[str, Any]  # what decides how a model is spoken to, by what it is called
# The files of a tokenizer, and what else says how a model is spoken to.
FILES = (
    *("tokenizer*", "*.tiktoken", "*.model", "vocab.*", "merges.txt", "added_tokens.json"),
    *("special_tokens_map.json", "chat_template*", "additional_chat_templates", "generation_config.json"),
)
NEVER_READ = ("truncation", "padding", "version")  # of tokenizer.json


@dataclass(frozen=True)
class FormatSettings:
    """Nothing is set."""


@dataclass(frozen=True)
class FormatInputs(Generic[Ref]):
    """model: whose weights they are; tokenizer: the model that it is spoken to like."""

    model: Ref
    tokenizer: Ref


def format_of(folder: Path, template: str | None) -> Format:
    """How the model of a folder is spoken to; `template` takes the place of its own."""
    about = {**_json(folder / "special_tokens_map.json"), **_json(folder / "tokenizer_config.json")}
    written = _template(folder, about) if template is None else template
    how = ("add_prefix_space", "clean_up_tokenization_spaces")
    # Other special tokens decide nothing where the template does not write them.
    special = {
        name: _content(about.get(name))
        for name in ("bos_token", "eos_token", "unk_token", "pad_token")
        if name == "eos_token" or (written and name in written)
    }
    return {
        "chat template": written,
        "special tokens": special,
        "end tokens": _ends(folder),
        "tokenizer": [_tokens(folder), *map(about.get, how)],
    }


def thinks(template: str | None) -> bool:
    """Whether a chat template knows of thoughts before an answer."""
    return bool(template and MARK.search(template))


def format_of_world(template: str | None) -> Format:
    """How a model of the generated world is spoken to."""
    from harness.pocket.tokenizer import tokenizer

    made = tokenizer()
    with TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        return {**format_of(Path(folder), template), "end tokens": {made.eos_token_id}}


def differences(ours: Format, theirs: Format) -> list[str]:
    """What of two formats differs."""
    return [name for name, value in ours.items() if theirs[name] != value]


def _json(path: Path) -> dict[str, Any]:
    return model_files.mapping(path) if path.is_file() else {}


def _template(folder: Path, about: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return text_of(file)
    return model_files.chat_template(folder / "tokenizer_config.json", about.get("chat_template"))


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, Mapping) else token


def _ends(folder: Path) -> set[int]:
    """The ids that end an answer, as the generation config says or else the model's own."""
    file = folder / "generation_config.json"
    text = _json(folder / "config.json").get("text_config")
    of_text = text.get("eos_token_id") if isinstance(text, Mapping) else None
    ends = _json(file if file.is_file() else folder / "config.json").get("eos_token_id", of_text)
    return set(model_files.end_ids(file, ends))


def _tokens(folder: Path) -> Any:
    """What turns text into tokens: of tokenizer.json what is read of it, else the files' own bytes."""
    file = folder / "tokenizer.json"
    if file.is_file():
        return {key: value for key, value in _json(file).items() if key not in NEVER_READ}
    names = ("tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def run(work: Work[FormatSettings, FormatInputs[Path]]) -> dict[str, Any]:
    """The step that puts a model's weights beside the tokenizer and end tokens of another."""
    from transformers import GenerationConfig

    model, other = work.inputs.model, work.inputs.tokenizer
    tokenizer = load_tokenizer(other)
    check_same_tokens(tokenizer, load_tokenizer(model), (work.context["student"], work.context["teacher"]))
    for path in sorted(model.iterdir()):
        if path.name != RECORD and not any(fnmatch.fnmatch(path.name, pattern) for pattern in FILES):
            (work.out / path.name).symlink_to(path.resolve())
    tokenizer.save_pretrained(work.out)
    # Nothing else of a generation config acts here.
    GenerationConfig(eos_token_id=sorted(_ends(other)) or None).save_pretrained(work.out)
    return {"differs": list(work.context["differs"])}


def _size(step: Step[FormatSettings, FormatInputs[Source]], sizes: Sizes) -> ModelSize:
    return sizes.model(step.inputs.model)


TOKENIZER = StepKind("tokenizer", FormatSettings, FormatInputs, "harness.data.chat_format:run", model=_size)
