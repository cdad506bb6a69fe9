"""How large the model of a step is: from its folder where it is done or local, else from what is planned.

A hub id that nobody here can read comes from models.yaml; any other is `Unknown`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.store.step import Part, Step
from harness.store.store import Store

NORMS = {"gemma2": 4}  # vectors of a layer; every other family has 2


@cache
def table(name: str) -> dict[str, Any]:
    """A table that ships beside this package, by its name without ".yaml"."""
    text = files("harness.forecast").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe", pure=True).load(text))


class Unknown(Exception):
    """Why a step has no estimate."""


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
        """Parameters of the layers, as harness.models.loading.parameters counts them."""
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

    def cache(self, tokens: int, number: int = 4) -> int:
        """Bytes of the keys and values of so many tokens, `number` bytes each."""
        return 2 * self.layers * self.kv * self.head_dim * tokens * number


@dataclass(frozen=True)
class Models:
    """Sizes of the models of a plan's steps."""

    store: Store | None

    def of(self, source: Step | Part) -> ModelSize:
        """The model that a step makes or links to. Unknown: nobody here knows it."""
        step = source.step if isinstance(source, Part) else source
        folder = self.store.find(step) if self.store else None
        if folder and (folder / "config.json").is_file():
            return of_config(json.loads((folder / "config.json").read_text()))
        match step.kind:
            case "train":
                return self.of(step.inputs["start"])
            case "select":
                return self.of(step.inputs["trained"])
            case "init":
                return _planned(step.settings)
            case "link":
                return named(str(step.context["path"]))
        raise Unknown(f"{step.label}: not a model")


def named(path: str) -> ModelSize:
    """The size of a local folder or of a hub id ("org/name", "org/name@revision")."""
    config = Path(path) / "config.json"
    if config.is_file():
        return of_config(json.loads(config.read_text()))
    known = table("models").get(path.partition("@")[0])
    if known is None:
        raise Unknown(f"size of {path}")
    return ModelSize(**known)


def of_config(config: Mapping[str, Any]) -> ModelSize:
    """The size that a config.json tells; of a family that is not known here, as if it were a Llama's."""
    text = config.get("text_config") or config
    family, heads = str(text["model_type"]), int(text["num_attention_heads"])
    known = ("llama", "mistral", "gemma2")
    return ModelSize(
        family=family,
        hidden=text["hidden_size"],
        layers=text["num_hidden_layers"],
        ffn=text["intermediate_size"],
        heads=heads,
        kv=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or text["hidden_size"] // heads,
        vocab=text["vocab_size"],
        tied=bool(text.get("tie_word_embeddings", family == "gemma2")),
        notes=() if family in known else (f"a {family} counted as a Llama of its sizes",),
    )


def _planned(settings: Mapping[str, Any]) -> ModelSize:
    vocab = int(table("texts")["world"]["vocabulary"])
    return ModelSize(
        family="llama",
        hidden=settings["hidden"],
        layers=settings["layers"],
        ffn=settings["ffn"],
        heads=settings["heads"],
        kv=settings["heads"],
        head_dim=settings["hidden"] // settings["heads"],
        vocab=vocab,
        tied=True,
        notes=(f"a vocabulary of {vocab} words",),
    )
