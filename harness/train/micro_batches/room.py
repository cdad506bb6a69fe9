"""How many positions a micro-batch has: fewer, once a device had no room for it.

Micro-batches of any size add up to one gradient, but for rounding, since losses divide by counts of the whole
step. So what was computed of a step that ran out of memory is dropped, and the step computed anew.
"""

from dataclasses import dataclass, field

MENDS = (
    "engine.checkpointing computes layers again and engine.offload keeps their inputs in the host's memory, "
    "`precision: bf16` and a smaller max_length take less, --accelerate-config shards the weights"
)


@dataclass
class Room:
    """tokens: computed positions of a micro-batch; halved: how often they became fewer."""

    tokens: int
    halved: int = 0
    examples: list[int] = field(default_factory=list)  # of the micro-batch that is computed

    def halve(self, positions: int) -> None:
        """Make micro-batches at most half as large as one of so many positions."""
        self.tokens, self.halved = positions // 2, self.halved + 1


class NoRoom(Exception):
    """One of several processes ran out of memory: all have to start again, with micro-batches of so many
    `tokens`, as the others wait for it where it will not come.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__(f"out of memory; micro-batches of at most {tokens:,} positions take half")
        self.tokens = tokens
