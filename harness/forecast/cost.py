"""What one step takes, and what is looked up to say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast.sizes import Models
from harness.forecast.texts import Texts
from harness.store.store import Store
from harness.suite.schema import Suite
from methods.api import Method

Work = Literal["train", "forward", "decode", "judge", "files"]
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Cost:
    """What a step takes. disk and memory in bytes, usd None where no price is known.

    sequential: passes that wait for one another, each through `layers` layers and `reads` bytes of weights;
    loads: bytes of weights that come from disk first; fixed: bytes of `memory` that smaller batches keep;
    assumed: what the numbers rest on that nobody has counted; unknown: why there is no estimate, and then all
    numbers are 0.
    """

    work: Work = "files"
    flops: float = 0.0
    precision: str = "float32"
    tokens: int = 0
    sequential: int = 0
    layers: int = 0
    reads: float = 0.0
    loads: float = 0.0
    disk: float = 0.0
    memory: float = 0.0
    fixed: float = 0.0
    calls: int = 0
    usd: float | None = 0.0
    assumed: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Sizes:
    """What estimates look up: the suite, the methods, how steps run here, what is done, and prices."""

    suite: Suite
    registry: Mapping[str, Method]
    machine: Machine
    store: Store | None
    prices: prices.Prices

    @property
    def models(self) -> Models:
        return Models(self.store)

    @property
    def texts(self) -> Texts:
        return Texts(self.store, self.suite)
