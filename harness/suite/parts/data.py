"""The data of a suite: preferences, and the dialogues of SFT stages."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.common.suggest import nearest
from harness.common.text import cut
from harness.data.layouts import AUTO, DIALOGUES, PAIRS, known_layout
from harness.pocket import build
from harness.suite.validation import WORLD, Strict, inside_world


def _held(files: Sequence[str], path: str) -> str:
    """A path that is one of these files of the generated world, or lies outside of it."""
    if (inside := inside_world(path)) is not None and inside not in files:
        known = [f"{WORLD}/{name}" for name in files]
        raise ValueError(f"given {cut(repr(path))}; of the generated world {nearest(path, known)}")
    return path


def _split(given: str) -> str:
    """The name of a split or a part of it, or several joined by "+"."""
    if not all(re.fullmatch(r"\s*[\w.-]+\s*(\[.*)?", part) for part in given.split("+")):
        raise ValueError(f"given {cut(repr(given))}; the name of a split, such as train, or train[:90%]")
    return given


class Data(Strict):
    """Rows from a file, a folder or the hub."""

    path: Annotated[
        str, Field(min_length=1), AfterValidator(partial(_held, (build.PAIRS, build.VALIDATION_PAIRS)))
    ]
    """A file (`.jsonl`, `.json`, `.parquet`, also gzipped), a folder of such, a hub id, or `world/...`."""
    split: Annotated[str, AfterValidator(_split)] = "train"
    """The split of a hub id or folder; `train[:90%]` takes a part, of a single file too."""
    revision: str | None = None
    """The branch, tag or commit of a hub id; a local path has none."""
    layout: Annotated[str, AfterValidator(partial(known_layout, PAIRS))] = AUTO
    """How the rows are written; `auto` takes the first layout whose columns are all there."""
    limit: int | None = Field(None, gt=0)
    """So many usable rows are taken; all, if absent."""
    skip: int = Field(0, ge=0)
    """So many usable rows are passed over before the first that is taken."""

    @model_validator(mode="after")
    def _revision_is_of_the_hub(self) -> "Data":
        if self.revision is not None and inside_world(self.path) is not None:
            raise ValueError(
                f"revision: given {cut(repr(self.revision))}; {self.path} is made here and has none"
            )
        return self


class ChatData(Data):
    """Dialogues of the SFT stages."""

    path: Annotated[str, Field(min_length=1), AfterValidator(partial(_held, (build.DIALOGUES,)))]
    """A file (`.jsonl`, `.json`, `.parquet`, also gzipped), a folder of such, a hub id, or `world/...`."""
    layout: Annotated[str, AfterValidator(partial(known_layout, DIALOGUES))] = AUTO
    """How the rows are written; `auto` takes the first layout whose columns are all there."""
    pack: bool = False
    """Whether dialogues are strung together into sequences of `max_length` tokens."""
    loss_on: Literal["responses", "all"] = "responses"
    """Which tokens are learned: the assistant's turns, or all."""


class Dataset(Strict):
    """A preference data set, and the dialogues of the SFT stages before it."""

    sft: ChatData | None = None
    """Dialogues; needed where a model has an `sft` stage."""
    preference: Data
    """The pairs of a chosen and a rejected response that methods learn from; their prompts are answered."""
    validation: Data | None = None
    """Pairs that are held out: rewards, `objective` and `selection` are measured on them."""
