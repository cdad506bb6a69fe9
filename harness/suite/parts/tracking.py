"""What a suite tells of its trainings and results."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from harness.common.suggest import nearest
from harness.common.text import cut

# As accelerate, their packages and our extras call them.
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


def trackers(given: Sequence[str], where: str = "") -> tuple[str, ...]:
    """Each tracker that is named, once, with commas between or one by one; an unknown name is a ValueError
    that begins with `where`.
    """
    names = [name.strip().lower() for words in given for name in words.split(",") if name.strip()]
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"{where}given {cut(repr(name))}; {nearest(name, TRACKERS)}")
    return tuple(dict.fromkeys(names))


Trackers = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    AfterValidator(trackers),
]
