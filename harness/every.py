"""How often a training writes a checkpoint."""

from dataclasses import dataclass

EVERY = "5m"


@dataclass(frozen=True)
class Every:
    """How often a checkpoint is written: every so many optimizer steps or seconds."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Every":
        """ "200" optimizer steps, or "5m", minutes; ValueError for anything else."""
        number = text.removesuffix("m")
        try:
            every = cls(seconds=60 * float(number)) if number != text else cls(steps=int(number))
        except ValueError:
            every = cls()
        if every.steps <= 0 and not 0 < every.seconds < float("inf"):
            raise ValueError(f"checkpoint every {text!r}: optimizer steps such as 200, or minutes such as 5m")
        return every
