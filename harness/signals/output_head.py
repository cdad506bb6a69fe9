"""A model's output head by itself: what reads its stored hidden states needs no body in memory."""

from pathlib import Path
from typing import Any

import torch

from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.models.loading import head_of, load, save_head
from harness.signals.kinds import HeadInputs, HeadSettings
from harness.store.step import Work


def run(work: Work[HeadSettings, HeadInputs[Path]]) -> dict[str, Any]:
    """The step that keeps a model's head, so that its body need not be in memory where its signals are
    read.
    """
    model = load(work.inputs.model, getattr(torch, work.settings.dtype))
    vocab = vocabulary(load_tokenizer(work.inputs.model), work.inputs.model)
    save_head(head_of(model, vocab), work.out)
    return {}
