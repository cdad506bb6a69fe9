"""Bytes that a training takes of each of its devices at the largest of its moments.

    states        float32 weights, gradients and AdamW's two moments: 16 bytes a parameter that moves, 10 with
                  moments in 8 bits, 4 of one that does not
    saved         what the layers keep of a micro-batch for the backward pass
    copies        of weights in half precision, which the backward pass reads as well
    step          AdamW on top of the states, while nothing is saved: `foreach` makes one more copy of what
                  moves, one parameter after the other two of the largest; of 8 bits this is assumed

What is saved is counted, not measured: transformers' layers under autocast on fake tensors, by the storages
that autograd keeps (tests/harness/train/test_memory.py counts anew).
"""

from collections.abc import Iterator
from typing import NamedTuple

from harness.common.cost import NORMS, ON_GPU, ModelSize
from methods.api import LoRA, Training

WEIGHT, GRADIENT = 4, 4  # bytes of a parameter
BLOCK, TABLE = 256, 1024  # numbers with one scale, and bytes of what codes stand for, of moments in 8 bits
MOMENTS = {"adamw": 8.0, "adamw8bit": 2 * (1 + 4 / BLOCK)}  # bytes of a parameter
SMALLEST = 4096  # numbers of a tensor that has its moments in 8 bits
STREAMS = 7  # float32 copies of the residual stream beside what is saved, in the backward pass of a layer
GATHERED = 2  # layers whose whole weights and gradients a sharded training has at once


class Run(NamedTuple):
    """How a training runs, which is no part of an id. positions: of a micro-batch; longest: tokens of a
    sequence; offloaded: what is saved waits in the host's memory; foreach: AdamW's form of one more copy.
    """

    positions: int
    longest: int
    half: bool = False
    recomputed: bool = False
    offloaded: bool = False
    foreach: bool = True
    devices: int = 1
    sharded: bool = False


def saved(model: ModelSize, longest: int, half: bool) -> int:
    """Bytes that a layer keeps of a position."""
    heads, number = model.heads * model.head_dim, 2 if half else 4
    norms = NORMS.get(model.family, 2)
    # A norm keeps its float32 input and that input normed. Under autocast each of five products (queries,
    # keys, values, gate, up) has a copy of its input in half precision; else they share what two norms made.
    kept = norms * (8 * model.hidden + 4) + number * ((5 if half else 2) * model.hidden + heads)
    # Queries, keys and values, of as many heads; gate, its activation, up, and the product of both.
    kept += number * (3 * heads + 4 * model.ffn)
    if (
        model.family == "gemma2"
    ):  # soft-capped scores are made one by one: twice in half precision, once whole
        return kept + model.heads * longest * 8
    return kept + 4 * model.heads + number * longest  # log-sum-exp, and a mask


def activations(model: ModelSize, run: Run) -> float:
    """Bytes beside the states while a micro-batch goes forward and back."""
    layer = (model.body - model.hidden) / model.layers
    one = run.positions * saved(model, run.longest, run.half) + (2 * layer if run.half else 0)
    stream = 4.0 * run.positions * model.hidden
    body = model.layers * stream + one if run.recomputed else model.layers * one
    if run.offloaded:
        body = one
    # Logits and their gradient; what is kept of them beyond this share is kept where there is room.
    logits = min(run.positions * model.vocab * 4 * 2, ON_GPU)
    # The head in half precision, and its gradient before it is added to what is there.
    return body + STREAMS * stream + logits + model.head * (2 * run.half + 4)


def moving(model: ModelSize, lora: LoRA | None) -> float:
    """Parameters that are trained."""
    return float(sum(count * size for count, size in _tensors(model, lora)))


def _tensors(model: ModelSize, lora: LoRA | None) -> Iterator[tuple[int, int]]:
    """What is trained: how many tensors of which size."""
    linear = _linear_layers(model)
    if lora is None:
        yield from ((model.layers, ins * outs) for ins, outs in linear.values())
        yield NORMS.get(model.family, 2) * model.layers + 1, model.hidden
        yield 1 if model.tied else 2, model.head
        return
    names = linear if lora.targets == "all-linear" else [n for n in linear if n in lora.targets]
    yield from ((model.layers, lora.r * side) for name in names for side in linear[name])


def _linear_layers(model: ModelSize) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each linear layer of a block, by its name in transformers."""
    h, f, heads, kv = model.hidden, model.ffn, model.heads * model.head_dim, model.kv * model.head_dim
    attention = {"q_proj": (h, heads), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (heads, h)}
    return attention | {"gate_proj": (h, f), "up_proj": (h, f), "down_proj": (f, h)}


def _moments(model: ModelSize, training: Training, shards: int) -> float:
    """Bytes of AdamW's two moments of what is trained, of one share of as many."""

    def bytes_of(size: float) -> float:
        if training.optimizer == "adamw" or size < SMALLEST or size % BLOCK:
            return MOMENTS["adamw"] * size
        return MOMENTS[training.optimizer] * size + 2 * TABLE

    return sum(count * bytes_of(size / shards) for count, size in _tensors(model, training.lora))


def states(model: ModelSize, run: Run, training: Training) -> float:
    """Bytes of weights, gradients and AdamW's moments on one device, whatever a micro-batch is."""
    trained, shards = moving(model, training.lora), run.devices if run.sharded else 1
    moments = _moments(model, training, shards)
    frozen = WEIGHT * (model.parameters if training.lora else 0.0)
    whole = (WEIGHT + GRADIENT) * trained + frozen
    if run.devices == 1:
        return whole + moments
    if not run.sharded:
        return whole + moments + GRADIENT * trained  # buffers in which gradients are sent
    layer = (model.body - model.hidden) / model.layers
    embeddings = model.parameters - model.body  # gathered for the whole pass
    gathered = (WEIGHT + GRADIENT) * (GATHERED * layer + embeddings)
    return whole / run.devices + moments + gathered


def peak(model: ModelSize, run: Run, training: Training) -> float:
    """Bytes of the largest moment on one device."""
    trained, shards = moving(model, training.lora), run.devices if run.sharded else 1
    # Of two temporaries for each parameter that is stepped; an embedding is the largest.
    step = 4 * trained if run.foreach else 8 * min(model.head, trained)
    return states(model, run, training) + max(activations(model, run), step / shards)
