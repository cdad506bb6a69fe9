"""RoPE whose frequencies depend on the batch, and up to which length they do not; positions that end.

Dynamic NTK and longrope (Phi-3) change the frequencies of a whole batch once its longest sequence passes a
limit, so that what a model says of a sequence would depend on its neighbours, and training, signals and
answers would disagree. Up to the limit they are as they were trained, and nothing longer is computed. yarn,
llama3 and linear scaling depend on nothing. A model without RoPE may have a table of positions, that ends.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.common.input import model_files
from harness.common.tokenizer import load_config

FREQUENCIES = "inv_freq"  # what transformers calls them, with the kind of layer before it where there are two
FAR = 1 << 22  # a position that no sequence has
SPARE = 2  # rows of a table that stand for no position, as OPT's and BART's have


def _ropes(text: Any) -> list[dict[str, Any]]:
    """The parameters of RoPE of a text config: one, or one for each kind of layer."""
    found = getattr(text, "rope_parameters", None) or {}
    return [rope for rope in found.values() if isinstance(rope, dict)] or [found]


def limit(config: Any) -> int | None:
    """Tokens up to which a model's frequencies are the same in every batch; None: always."""
    text = config.get_text_config()
    limits = []
    for rope in _ropes(text):
        if rope.get("rope_type") == "longrope":
            limits.append(int(rope.get("original_max_position_embeddings") or text.max_position_embeddings))
        elif "dynamic" in rope.get("rope_type", ""):
            limits.append(int(text.max_position_embeddings))
    return min(limits, default=None)


def table(model: Any) -> int | None:
    """Positions that a model without RoPE has a table of (GPT-2, OPT, GPT-J), or biases for (MPT); None: it
    computes any.
    """
    config = model.config.get_text_config()
    if rotaries(model):
        return None
    most = getattr(config, "max_position_embeddings", None)
    if most is None:  # MPT's ALiBi has a length of its own, and lies in no table
        return getattr(config, "max_seq_len", None)
    words = model.get_input_embeddings()
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding) and m is not words]
    tables = [*embeddings, *(buffer for buffer in model.buffers() if buffer.dim() == 2)]
    return int(most) if any(most <= len(rows) <= most + SPARE for rows in tables) else None


def reads(model: Any) -> int | None:
    """Tokens of the longest sequence that a model may be given; None: there is none."""
    return min((most for most in (limit(model.config), table(model)) if most is not None), default=None)


def learned(config: Any) -> int | None:
    """Positions that a model was trained on, by its config; None: not said, or a factor stretches them."""
    text = config.get_text_config()
    if any(rope.get("factor") is not None for rope in _ropes(text)):
        return None
    return getattr(text, "max_position_embeddings", None)


def check_length(folder: Path, longest: int) -> None:
    """ValueError where sequences of up to so many tokens are too long for the model of a folder."""
    from transformers import AutoModelForCausalLM

    config = load_config(folder)
    # Names and shapes alone are looked at.
    with model_files.reading(folder, model_files.CONFIG) as safely, torch.device("meta"):
        rows = table(AutoModelForCausalLM.from_config(config, **safely))
    if rows is not None and longest > rows:
        raise ValueError(f"max_length: {longest}; {folder} has {rows} positions, so {rows} is the most")
    most = limit(config)
    if most is not None and longest > most:
        raise ValueError(
            f"max_length: {longest}; beyond {most} tokens the RoPE of {folder} changes for all that stands "
            f"beside a sequence, so {most} is the most"
        )
    seen = learned(config)
    if seen is not None and longest > seen:
        raise ValueError(
            f"max_length: {longest}; {folder / model_files.CONFIG} says max_position_embeddings {seen}, and "
            f"beyond them the model was never trained, so {seen} is the most"
        )


class Call(NamedTuple):
    """A module that turns positions into angles, and what it was called with."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def positions(self) -> Tensor:
        """The positions that are asked for. [..., T]"""
        given: Tensor = self.kwargs["position_ids"] if "position_ids" in self.kwargs else self.args[1]
        return given

    def angles(self, last: int) -> tuple[Tensor, ...]:
        """What it makes of the same positions, the last of them set to `last`."""
        positions = self.positions.clone()
        positions[..., -1] = last
        others = {name: value for name, value in self.kwargs.items() if name != "position_ids"}
        found = self.module(
            self.args[0] if self.args else others.pop("x"), positions, *self.args[2:], **others
        )
        return found if isinstance(found, tuple) else (found,)


def rotaries(model: Any) -> list[nn.Module]:
    """The modules of a model that turn positions into angles."""
    return [
        module
        for module in model.modules()
        if any(name.endswith(FREQUENCIES) for name, _ in module.named_buffers(recurse=False))
    ]


@contextmanager
def rotary_calls(model: Any) -> Iterator[list[Call]]:
    """What the modules that turn positions into angles are called with inside."""
    calls: list[Call] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if "position_ids" in kwargs or len(args) > 1:
            calls.append(Call(module, args, kwargs))

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in rotaries(model)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def check(model: Any, calls: Sequence[Call]) -> None:
    """Refuse a model whose angles depend on the batch, unless its limit is known and they do not below it."""
    most = limit(model.config)
    for call in calls:
        # In this order, with a near one at the end: some remember the longest sequence until a short one.
        near, edge, far, _ = (call.angles(last) for last in (3, (most or FAR) - 1, FAR, 3))
        if not _equal(near, edge) or (most is None and not _equal(near, far)):
            raise ValueError(
                f"{type(model).__name__}: its RoPE depends on the longest sequence of a batch; not supported"
            )


def guard(model: Any) -> None:
    """Let a model refuse what is longer than its limit, in place."""
    most = limit(model.config)
    if most is None:
        return

    def refuse(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if (longest := int(Call(module, args, kwargs).positions.max()) + 1) > most:
            raise ValueError(
                f"{type(model).__name__}: a sequence of {longest} tokens, and beyond {most} its RoPE changes "
                f"for all that stands beside it; keep max_length and max_tokens within {most}"
            )

    for module in rotaries(model):
        module.register_forward_pre_hook(refuse, with_kwargs=True)


def _equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether the angles at all positions but the last are the same. [..., T, d]"""
    return all(torch.equal(x[..., :-1, :], y[..., :-1, :]) for x, y in zip(a, b, strict=True))
