"""What lm-eval looks at in a task's YAML only while the task runs, looked at before."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from benchmarks.json_files import checked


def _pattern(given: str) -> str:
    try:
        re.compile(given)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return given


def _known(given: Any) -> Any:
    """An aggregation: where a function of the task's own lies, or the name of one of lm-eval's."""
    from lm_eval.api import metrics, registry

    known = registry.AGGREGATION_REGISTRY
    assert known, f"{metrics.__name__} fills it when it is imported"
    if isinstance(given, str) and "." not in given and given not in known:
        raise ValueError(f"one of {', '.join(sorted(known))}")
    return given


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")  # each function and metric has keys of its own


class FilterStep(_Part):
    regex_pattern: Annotated[str, AfterValidator(_pattern)] | None = None


class Filter(_Part):
    filter: list[FilterStep] = []


class Metric(_Part):
    aggregation: Annotated[Any, AfterValidator(_known)] = None


class Generation(_Part):
    until: str | list[str] | None = None
    max_gen_toks: int | None = Field(None, gt=0)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    do_sample: bool | None = None


class TaskValues(_Part):
    """The part of a task's YAML that is checked here; all else is lm-eval's."""

    description: str = ""
    repeats: int = Field(1, gt=0)
    num_fewshot: int | None = Field(None, ge=0)
    generation_kwargs: Generation | None = None
    filter_list: list[Filter] | None = None
    metric_list: list[Metric] | None = None


def check(path: Path, leaf: str, config: Mapping[str, Any]) -> None:
    """ValueError for a value that lm-eval would stumble over after the model is loaded."""
    checked(dict(config), TaskValues, f"{path}: {leaf}", "a task's YAML")
