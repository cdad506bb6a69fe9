"""A model's card: README.md with the hub's metadata, by which it lists a model and shows its results."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.common.secrets.redaction import without_secrets
from harness.results.hub import numbers
from harness.results.hub.numbers import Number
from harness.results.hub.origin import Data, Origin, Source
from harness.results.records import RowKey
from harness.store.provenance import dotted_settings
from reports import build, escapes
from reports.records.run_folder import Rows
from reports.render import to_markdown

# A place on a machine says who works there; its last name is enough. What follows a host is part of a URL.
PLACE = re.compile(r"(?<![\w:/.])(?:file://)?(?:~|\.{1,2})?/(?:[\w.+@=,-]+/)+(?=[\w.+@=,-])")
PATH = re.compile(r"^(?:file://)?(?:~|\.{1,2})?/.*/(?=[^/]+/?$)")  # a value that is one: it may have spaces
LIBRARIES = ("prefbench", "torch", "transformers", "accelerate", "datasets", "lm_eval")
UNKNOWN = "not known"


@dataclass(frozen=True)
class Card:
    """What a card is made of; `licences` are known ones by a source's repository, or by its name."""

    repository: str
    run: str
    key: RowKey
    seeds: Sequence[int]
    origin: Origin
    rows: Rows
    licence: str
    licences: Mapping[str, str]


def public(text: str) -> str:
    """A text without credentials, and of places on a machine the last name alone."""
    return PLACE.sub("", without_secrets(text))


def text(card: Card) -> str:
    """The card."""
    own, notes = numbers.of_checkpoint(card.rows, card.key)
    tables, verdict = numbers.of_run(card.rows, card.key.pair)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["inline"] = escapes.markdown
    body = environment.get_template("card.md.j2").render(
        card=card,
        numbers=own,
        notes=notes,
        tables=[to_markdown(table) for table in tables],
        verdict=build.verdict_markdown(verdict),
        recipe="\n".join(_recipe(card.origin)),
        base=_told(card.origin.base),
        models=[_told(model) for model in card.origin.models],
        data=[_data(data, card.licences) for data in card.origin.data],
        versions={name: version(name) for name in LIBRARIES},
    )
    return f"---\n{metadata(card, own).to_yaml()}\n---\n\n{public(body)}"


def metadata(card: Card, own: Sequence[Number]) -> ModelCardData:
    """The hub's metadata: what is not known is left out, as a guess there would be taken for a fact."""
    read = dict.fromkeys(data.source.repository for data in card.origin.data if data.source.repository)
    return ModelCardData(
        base_model=card.origin.base.repository or None,
        datasets=list(read) or None,
        license=card.licence or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["alignment", "preference-optimization", "prefbench", public(card.key.method)],
        model_name=card.repository.rpartition("/")[2],
        eval_results=[_result(number) for number in own] or None,
    )


def _result(number: Number) -> EvalResult:
    """One value; what its interval is over stands in the card."""
    column = number.column
    benchmark = public(column.source.benchmark.title if column.source else column.title)
    given: dict[str, Any] = {"questions": number.n} if number.n else {}
    if number.low is not None and number.high is not None:
        given["interval_95"] = [number.scaled(number.low), number.scaled(number.high)]
    return EvalResult(
        task_type="text-generation",
        task_name="Text Generation",
        dataset_type=public(column.name.partition(".")[0]),
        dataset_name=benchmark,
        metric_type=public(column.name.partition(".")[2].partition(" ")[0]),
        metric_name=public(column.title),
        metric_value=number.scaled(number.value),
        metric_args=given or None,
    )


def _recipe(origin: Origin) -> list[str]:
    """Every stage with its settings, as lines of YAML."""
    lines = []
    for record in origin.stages:
        lines.append(f"- stage: {escapes.row(record['label'])}")
        settings = dotted_settings(record["settings"])
        lines += [f"  {name}: {setting(value)}" for name, value in settings.items()]
    return lines


def setting(value: Any) -> str:
    """A setting as a line in a block of code, which would end where a value has several."""
    return "null" if value is None else escapes.row(PATH.sub("", str(value)))


def _told(source: Source) -> str:
    if source.repository:
        return f"[{source.repository}](https://huggingface.co/{source.repository}) at `{source.revision}`"
    if source.revision:
        return f"a local model, {_code(source.name)}, whose files have the hash `{source.revision}`"
    return f"{escapes.markdown(source.name)}: random weights, pretrained in the run"


def _code(name: str) -> str:
    """A name as code in a line, which a backtick would end."""
    return f"`{escapes.row(name).replace('`', chr(39))}`"


def _data(data: Data, licences: Mapping[str, str]) -> str:
    source = data.source
    where = _code(source.name)
    if source.repository:
        where = f"[{source.repository}](https://huggingface.co/datasets/{source.repository})"
        where += f" at `{source.revision}`"
    licence = licences.get(source.repository, UNKNOWN) if source.revision else "generated by bench"
    dropped = "".join(f", {count} dropped ({why})" for why, count in data.dropped.items() if count)
    return f"{source.what}: {where}: {data.rows:,} rows of {data.read:,} read{dropped}; licence: {licence}"
