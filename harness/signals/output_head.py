"""A model's output head by itself: what reads its stored hidden states needs no body in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from harness.common.cost import BYTES, Cost
from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.models.loading import head_of, load, save_head
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work


@dataclass(frozen=True)
class HeadSettings:
    dtype: str


@dataclass(frozen=True)
class HeadInputs(Generic[Ref]):
    model: Ref


def run(work: Work[HeadSettings, HeadInputs[Path]]) -> dict[str, Any]:
    """The step that keeps a model's head, so that its body need not be in memory where its signals are
    read.
    """
    model = load(work.inputs.model, getattr(torch, work.settings.dtype))
    vocab = vocabulary(load_tokenizer(work.inputs.model), work.inputs.model)
    save_head(head_of(model, vocab), work.out)
    return {}


def _cost(step: Step[HeadSettings, HeadInputs[Source]], sizes: Sizes) -> Cost:
    model, number = sizes.model(step.inputs.model), BYTES[step.settings.dtype]
    return Cost(disk=model.head * number, loads=model.parameters * number, assumed=model.notes)


HEAD = StepKind("head", HeadSettings, HeadInputs, "harness.signals.output_head:run", cost=_cost)
