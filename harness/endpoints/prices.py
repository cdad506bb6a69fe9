"""What calls to a judge cost: a price table that the user can override.

prices.yaml   gpt-4-1106-preview: {input: 10.00, output: 30.00}     USD per million tokens
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from harness.common.input import yaml_text

# NaN would pass every comparison with a limit; strict, as `true` would be 1 USD.
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: Amount
    output: Amount
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


Prices = Mapping[str, Price]


class Usage(NamedTuple):
    """Calls to an endpoint and their tokens."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


def load(path: Path | None = None) -> dict[str, Price]:
    """The prices that ship, and over them those of a YAML file. ValueError: what is wrong there."""
    shipped = Path(str(files("harness.endpoints") / "prices.yaml"))
    return _read(shipped) | (_read(path) if path else {})


def _read(path: Path) -> dict[str, Price]:
    try:
        raw = yaml_text.read(path, "price file")
        return TypeAdapter(dict[str, Price]).validate_python({} if raw is None else raw)
    except ValidationError as e:
        first = e.errors()[0]
        wrong = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    wanted = "must map a model to {input: USD, output: USD} per million tokens"
    raise ValueError(f"{path}: {wanted} ({wrong})")


def usd(prices: Prices, model: str, usage: Usage) -> float | None:
    """What that usage costs; None where the table has no price of the model."""
    price = prices.get(model)
    if price is None:
        return None
    return (price.input * usage.prompt_tokens + price.output * usage.completion_tokens) / 1e6
