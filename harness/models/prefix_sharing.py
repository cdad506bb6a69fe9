"""One row for a micro-batch: what an example's sequences begin with alike is computed once, nothing is
padded.

    sequences      a b c d e .    a b c f .    g h .       the last token of each predicts nothing
    ids            a b c d e f g h                         [1, N]
    positions      0 1 2 3 4 3 0 1                         [1, N]
    places         0 1 2 3 4 | 0 1 2 5 0 | 6 7 0 0 0       [S, T]: where each token of the padded batch stands

All of a transformer but attention goes token by token and runs over the row as it is. Around attention,
queries, keys and values are laid out as the padded batch has them, under the masks that the model itself
makes for that batch (sliding windows, soft-caps, its own kernel), and what comes out is read back. So
attention costs what it costs padded, and no block mask stands in the way of the causal kernels. A state
depends on the tokens up to its own alone, so the numbers are those of the padded batch but for the order of
float sums.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.loading import Model, body

WORTH = 0.95  # of the padded positions; above it the layout around attention costs what it saves
PREFIX = "rows_"  # of an attention's name
ATTENTION = ("sdpa", "eager")  # implementations whose masks are tensors of the batch's shape
LAYERS = {"full_attention", "sliding_attention"}
# What a foreign forward pass raises where it has no use for such a row; it is then fed padded batches.
UNFIT = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Rows:
    """A micro-batch of S sequences as one row of N positions."""

    ids: Tensor  # [1, N]
    positions: Tensor  # [1, N]
    places: Tensor  # [S, T] of 0 to N - 1; what stands behind a sequence is never looked at
    first: Tensor  # [N] of 0 to S * T - 1: one place of the padded batch where each position is


def alike(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def distinct(sequences: Sequence[list[int]]) -> int:
    """Positions that the sequences of one example take in a row."""
    ordered = sorted(s[:-1] for s in sequences)
    return sum(map(len, ordered)) - sum(alike(a, b) for a, b in pairwise(ordered))


def lay_out(sequences: Sequence[list[int]], owners: Sequence[int], device: torch.device) -> Rows:
    """The row of some sequences, in which those of one owner share what they begin with."""
    longest = max(map(len, sequences)) - 1
    # Among sorted sequences the one before has most in common with each.
    order = sorted(range(len(sequences)), key=lambda s: (owners[s], sequences[s][:-1]))
    ids: list[int] = []
    positions: list[int] = []
    first: list[int] = []
    places: dict[int, list[int]] = {}
    for previous, s in zip([None, *order], order, strict=False):
        tokens, shared = sequences[s][:-1], 0
        if previous is not None and owners[previous] == owners[s]:
            shared = alike(sequences[previous][:-1], tokens)
        shared_places = places[previous][:shared] if previous is not None else []
        places[s] = [*shared_places, *range(len(ids), len(ids) + len(tokens) - shared)]
        ids += tokens[shared:]
        positions += range(shared, len(tokens))
        first += range(s * longest + shared, s * longest + len(tokens))
    table = [places[s] + [0] * (longest - len(places[s])) for s in range(len(sequences))]
    tensors = (torch.tensor(x, device=device) for x in ([ids], [positions], table, first))
    return Rows(*tensors)


def gather(x: Tensor, places: Tensor) -> Tensor:
    """Rows of x, [N, d], at `places`, [...]: [..., d]. Not x[places], whose gradient CUDA sums in no fixed
    order.
    """
    return F.embedding(places, x)


def states(model: Model, rows: Rows) -> Tensor:
    """Final hidden states of a row, [N, d], of a model that `prepare` has agreed to."""
    arguments = {
        "position_ids": rows.positions,
        "attention_mask": _masks(model, rows.places.shape[1]),
        "rows_places": rows.places,
        "rows_first": rows.first,
    }
    return body(model, rows.ids, arguments)[0]


def masks_of_padded(model: Model, longest: int) -> dict[str, Any]:
    """The masks of a padded batch, for a model that `prepare` has agreed to: one that is given none looks
    whether sequences are packed, for which a GPU has to end all that it does.
    """
    shared = model.config._attn_implementation.startswith(PREFIX)
    return {"attention_mask": _masks(model, longest)} if shared else {}


def causal_masks(model: Model, longest: int) -> dict[str, Tensor | None]:
    """The masks that the model makes for a batch of sequences of so many tokens, by kind of layer (one of any
    name where all are alike), [1, 1, T, T]; None for one that is causal and no more.
    """
    from transformers.masking_utils import create_masks_for_generate

    like = torch.empty(1, longest, 0, dtype=model.dtype, device=model.device)
    masks = create_masks_for_generate(model.config, like, None, None)
    return dict(masks) if isinstance(masks, Mapping) else {"": masks}


def _masks(model: Model, longest: int) -> Tensor | dict[str, Tensor]:
    """The masks for a padded batch. An empty one stands for none: one of four dimensions is handed on as it
    is.
    """
    none = torch.empty(1, 1, 0, 0, device=model.device)
    masks = {kind: none if m is None else m for kind, m in causal_masks(model, longest).items()}
    return masks.get("", masks)


def _over_rows(plain: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The attention `plain` of transformers, of padded batches and of rows."""

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **how: Any
    ) -> tuple[Tensor, Tensor | None]:
        modeling = inspect.getmodule(type(module))
        run = modeling.ALL_ATTENTION_FUNCTIONS.get_interface(plain, modeling.eager_attention_forward)  # type: ignore[union-attr]
        places, first = how.pop("rows_places", None), how.pop("rows_first", None)
        mask = attention_mask if attention_mask is not None and attention_mask.numel() else None
        if places is None:
            return run(module, query, key, value, mask, **how)  # type: ignore[no-any-return]
        batch = (_padded(x, places) for x in (query, key, value))
        out = run(module, *batch, mask, **how)[0]  # [S, T, H, D]
        heads = out.shape[2:]
        return gather(out.flatten(0, 1).flatten(1), first).view(1, len(first), *heads), None

    return attention


def _padded(x: Tensor, places: Tensor) -> Tensor:
    """[1, H, N, D] of a row as [S, H, T, D] of the padded batch."""
    tokens = x[0].transpose(0, 1)  # [N, H, D]
    return gather(tokens.flatten(1), places).view(*places.shape, *tokens.shape[1:]).transpose(1, 2)


def prepare(model: Model) -> str | None:
    """Lets a model run over rows as well as over padded batches. None, or why it can't: it is as it was."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if reason := _unfit(model):
        return reason
    plain = model.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(PREFIX + plain, _over_rows(plain))
    ALL_MASK_ATTENTION_FUNCTIONS.register(PREFIX + plain, ALL_MASK_ATTENTION_FUNCTIONS[plain])
    model.set_attn_implementation(PREFIX + plain)
    reason = _differs(model)
    if reason:
        model.set_attn_implementation(plain)
    return reason


def _unfit(model: Model) -> str | None:
    """Why a model is not worth a trial, by its name and what it declares."""
    name, config = type(model).__name__, model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - LAYERS
    if kinds:
        return f"{name} has layers of kind {', '.join(sorted(kinds))}"
    if model._is_stateful:
        return f"{name} is recurrent"
    if model.config._attn_implementation not in ATTENTION:
        return f"{name} runs attention {model.config._attn_implementation}"
    if not model._supports_attention_backend:
        return f"{name} has an attention of its own"
    if "position_ids" not in inspect.signature(type(model.base_model).forward).parameters:
        return f"{name} takes no position ids"
    return None


@torch.no_grad()
def _differs(model: Model) -> str | None:
    """Why a model can't run over rows, found by a trial on two short sequences."""
    size = model.config.get_text_config().vocab_size
    sequences = [[i % size for i in s] for s in ([1, 2, 3, 4, 5, 6, 0], [1, 2, 3, 7, 0])]
    rows = lay_out(sequences, [0, 0], model.device)
    try:
        shared = states(model, rows)[rows.places]
    except torch.OutOfMemoryError:  # which says nothing of the model
        raise
    except UNFIT as error:
        return f"{type(model).__name__} does not run over shared rows ({type(error).__name__})"
    for sequence, row_states in zip(sequences, shared, strict=True):
        padded = body(model, torch.tensor([sequence[:-1]], device=model.device))[0]
        scale, eps = float(padded.abs().max()), torch.finfo(padded.dtype).eps
        if not torch.allclose(row_states[: len(padded)], padded, rtol=0, atol=max(1e-4, 4 * eps) * scale):
            return f"{type(model).__name__} says other things over shared rows"
    return None
