"""What a step takes, and the sizes it is reckoned from: the one place of the FLOPs formulas.

    forward pass    2 FLOPs for each parameter and token, the output head on response tokens alone
    training step   6: the backward pass is twice the forward pass

Attention's own products are left out here and in what steps record. (Kaplan et al., 2020, arXiv 2001.08361,
Sec. 2.1.)
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Work = Literal["train", "forward", "decode", "judge", "files"]
BYTES = {"float32": 4, "bfloat16": 2}
NORMS = {"gemma2": 4}  # vectors of a layer; every other family has 2
LOGITS = 3  # float32 copies of logits without a backward pass
ID = 5  # bytes that a token takes in a set of sequences: its id and whether it is read
ROW = 12  # bytes of a sequence: its length and its row
CHUNK = 1024  # response tokens whose logits exist at once in a pass of a frozen model
ON_GPU = 1 << 30  # bytes of whole rows of logits on a GPU: few and large launches; not measured


class Unknown(Exception):
    """Why a step has no estimate."""


@dataclass(frozen=True)
class Cost:
    """What a step takes. disk and memory in bytes, usd None where no price is known.

    computed: operations over FLOPs: less than 1 where what sequences begin with alike is computed once, more
    where a layer is computed again; devices: how many the step takes, each of which holds `memory`;
    sequential: passes that wait for one another, each through `layers` layers and `reads` bytes of weights;
    loads: bytes of weights that come from disk first; fixed: bytes of `memory` that smaller batches keep;
    calls: of an endpoint, which read `prompt_tokens` and write `completion_tokens`;
    assumed: what the numbers rest on that nobody has counted; unknown: why there is no estimate, and then all
    numbers are 0.
    """

    work: Work = "files"
    flops: float = 0.0
    precision: str = "float32"
    computed: float = 1.0
    devices: int = 1
    tokens: int = 0
    sequential: int = 0
    layers: int = 0
    reads: float = 0.0
    loads: float = 0.0
    disk: float = 0.0
    memory: float = 0.0
    fixed: float = 0.0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    assumed: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class ModelSize:
    """A causal language model. head_dim: of one head; kv: heads of keys; tied: one embedding serves twice."""

    family: str
    hidden: int
    layers: int
    ffn: int
    heads: int
    kv: int
    head_dim: int
    vocab: int
    tied: bool
    notes: tuple[str, ...] = ()

    @property
    def body(self) -> int:
        """Parameters of the layers, as models.loading.parameters counts them."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv)
        norms = NORMS.get(self.family, 2) * self.hidden
        return self.layers * (attention + 3 * self.hidden * self.ffn + norms) + self.hidden

    @property
    def head(self) -> int:
        """Parameters of the output embedding."""
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.body + self.head * (1 if self.tied else 2)

    def forward_flops(self, tokens: float, answered: float) -> float:
        """Operations of a forward pass over tokens, with the head on those that are answers."""
        return forward_flops(self.body, self.head, tokens, answered)

    def forward_memory(self, positions: int, number: int, rows: int = CHUNK) -> float:
        """Bytes of a pass without gradient over `positions` at once: weights of `number` bytes, logits of
        `rows` tokens.
        """
        activations = positions * (4 * self.hidden + 2 * self.ffn) * number
        return self.parameters * number + activations + rows * self.vocab * 4 * LOGITS

    def cache(self, tokens: int) -> int:
        """Bytes of the float32 keys and values of so many tokens."""
        return 4 * 2 * self.layers * self.kv * self.head_dim * tokens


class RunLimits(NamedTuple):
    """How much is computed at once: positions of a micro-batch, answers decoded together, processes that each
    hold the model under measurement, tokens of the longest sequence.
    """

    tokens: int
    batch: int
    workers: int
    max_length: int


class TextSize(NamedTuple):
    """Sequences, all their tokens, and those of them that a loss reads; notes say what is assumed."""

    sequences: int
    tokens: int
    answered: int
    notes: tuple[str, ...] = ()

    @property
    def prompt(self) -> float:
        """Mean tokens before the response."""
        return (self.tokens - self.answered) / max(1, self.sequences)

    @property
    def disk(self) -> float:
        """Bytes of the set on disk."""
        return ID * self.tokens + ROW * self.sequences

    def share(self, share: float) -> "TextSize":
        """A share of the sequences, 0-1 or more."""
        sequences, tokens, answered, notes = self
        return TextSize(round(sequences * share), round(tokens * share), round(answered * share), notes)


def forward_flops(body: float, head: float, tokens: float, answered: float) -> float:
    """2 FLOPs for each parameter of the body and token, and of the head and response token."""
    return 2 * (body * tokens + head * answered)


def training_flops(body: float, head: float, tokens: float, answered: float) -> float:
    """Forward and backward pass: three times as many as the forward pass."""
    return 3 * forward_flops(body, head, tokens, answered)


def batches(tokens: float, most: int) -> int:
    """Batches of at most `most` tokens."""
    return max(1, -(-int(tokens) // most))


def pass_cost(
    model: ModelSize, text: TextSize, dtype: str, most: int, disk: float, notes: tuple[str, ...] = ()
) -> Cost:
    """One pass of a frozen model of `dtype` over a set of sequences, `most` positions at once."""
    number = BYTES[dtype]
    return Cost(
        work="forward",
        flops=model.forward_flops(text.tokens, text.answered),
        precision=dtype,
        tokens=text.tokens,
        sequential=batches(text.tokens, most),
        layers=model.layers,
        loads=model.parameters * number,
        disk=disk,
        memory=model.forward_memory(most, number),
        assumed=(*model.notes, *text.notes, *notes),
    )


def decoding_cost(
    model: ModelSize, text: TextSize, longest_answer: int, batch: int, disk: float, dtype: str = "float32"
) -> Cost:
    """Answers decoded a batch at a time: one that is cut off keeps its whole batch going."""
    batch = min(batch, text.sequences)
    rounds = -(-text.sequences // max(1, batch))
    longest = round(text.prompt) + longest_answer
    number = BYTES[dtype]
    weights = float(number * model.parameters)
    return Cost(
        work="decode",
        flops=model.forward_flops(text.tokens, text.answered),
        precision=dtype,
        tokens=text.answered,
        sequential=rounds * longest_answer,
        layers=model.layers,
        reads=weights,
        loads=weights,
        disk=disk,
        fixed=weights,
        memory=weights + 4.0 * batch * model.vocab * LOGITS + model.cache(batch * longest) * number / 4,
        assumed=(*model.notes, *text.notes),
    )
