"""How large the models and the sets of sequences of a plan are: from an artifact that is done, else from what
its kind says of what is planned.

A hub id that nobody here can read comes from models.yaml; any other is `Unknown`. A response nobody wrote yet
has `max_tokens`: the most it can have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.common.cost import ModelSize, RunLimits, TextSize, Unknown
from harness.common.input import model_files
from harness.endpoints.prices import Prices
from harness.executors.options import Machine
from harness.forecast import local_data
from harness.pocket.build import World
from harness.store.step import Part, Source
from harness.store.store import Store
from harness.suite.schema import Suite


@cache
def table(name: str) -> dict[str, Any]:
    """A table that ships beside this package, by its name without ".yaml"."""
    text = files("harness.forecast").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe", pure=True).load(text))


@dataclass(frozen=True)
class PlanSizes:
    """What estimates look up (store/step.Sizes): the suite, how steps run here, what is done, and prices."""

    suite: Suite
    machine: Machine
    store: Store | None
    prices: Prices

    @property
    def limits(self) -> RunLimits:
        machine = self.machine
        return RunLimits(machine.tokens, machine.batch, machine.workers, self.suite.max_length)

    @property
    def world(self) -> World | None:
        return self.suite.world

    def typical(self, name: str) -> Mapping[str, Any]:
        """What is assumed of the "world", "questions" or "tasks" (texts.yaml)."""
        return dict(table("texts")[name])

    def data(self, path: str, split: str, layout: str, pairs: bool) -> Mapping[str, Any]:
        """The rows of a hub id that texts.yaml knows, or of a local file."""
        return table("texts")["data"].get(path) or local_data.typical(path, split, layout, pairs)

    def model_at(self, path: str) -> ModelSize:
        """The size of a local folder or of a hub id ("org/name", "org/name@revision")."""
        config = Path(path) / "config.json"
        if config.is_file():
            return _size_at(config, path)
        # By name alone: another revision of a model may have other weights, but not another size.
        known = table("models").get(path.partition("@")[0])
        if known is None:
            raise Unknown(f"size of {path}")
        return ModelSize(**known)

    def model(self, source: Source) -> ModelSize:
        """The model that a step makes or links to."""
        step = source.step if isinstance(source, Part) else source
        folder = self.store.find(step) if self.store else None
        if folder and (folder / "config.json").is_file():
            return _size_at(folder / "config.json", step.label)
        if step.kind.model is None:
            raise Unknown(f"{step.label}: not a model")
        return step.kind.model(step, self)

    def sequences(self, source: Source) -> TextSize:
        """The sequences of an input."""
        step, part = (source.step, source.folder) if isinstance(source, Part) else (source, "")
        folder = self.store.find(step) if self.store else None
        if self.store and folder:
            measured = self.store.record(folder)["measured"]
            # Pairs have counts of each side, all others of the whole.
            counts = measured.get(part, measured)
            return TextSize(counts["sequences"], counts["tokens"], counts["response_tokens"])
        if step.kind.sequences is None:
            raise Unknown(f"{step.label}: not a set of sequences")
        return step.kind.sequences(step, part, self)


def _size_at(config: Path, name: str) -> ModelSize:
    try:
        return of_config(model_files.mapping(config))
    except (LookupError, TypeError, ArithmeticError) as error:  # names of other families, or a fault
        raise Unknown(f"size of {name}") from error


def of_config(config: Mapping[str, Any]) -> ModelSize:
    """The size that a config.json tells; of a family that is not known here, as if it were a Llama's."""
    # Models that also see or hear keep the language model's sizes in `text_config`.
    text = config.get("text_config") or config
    family, heads = str(text["model_type"]), int(text["num_attention_heads"])
    known = ("llama", "mistral", "gemma2")
    return ModelSize(
        family=family,
        hidden=text["hidden_size"],
        layers=text["num_hidden_layers"],
        ffn=text["intermediate_size"],
        heads=heads,
        # Without grouped queries every head has keys of its own.
        kv=text.get("num_key_value_heads") or heads,
        # Gemma-2's heads are wider than hidden / heads, and its config says so.
        head_dim=text.get("head_dim") or text["hidden_size"] // heads,
        vocab=text["vocab_size"],
        tied=bool(text.get("tie_word_embeddings", family == "gemma2")),
        notes=() if family in known else (f"a {family} counted as a Llama of its sizes",),
    )
