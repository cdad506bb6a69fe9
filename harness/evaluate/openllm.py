"""The step that runs lm-eval's tasks on a checkpoint, on any number of workers.

    results.jsonl  {"task": "arc_challenge", "version": "1.0", "num_fewshot": 25, "metric": "acc_norm",
                    "document": "12-5d1f30a7", "value": 1.0}
    details.jsonl  {"task": "arc_challenge", "document": "12-5d1f30a7", "truncated": false, "target": 2,
                    "choices": [" water", ...], "loglikelihoods": [-3.1, ...], "greedy": [false, ...],
                    "metrics": {"acc": 1.0, "acc_norm": 1.0}}

Margins can be read off the details. `truncated`: the prompt lost its beginning, too long for the model.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.openllm import declaration
from harness.common.files import read_json_lines, write_json_lines
from harness.store.step import Part, Step, StepKind, Work
from harness.store.store import RECORD
from harness.suite.measurement import (
    Chosen,
    Folders,
    MeasuredBenchmark,
    Measures,
    Row,
    SummaryValue,
    Value,
)

log = logging.getLogger(__name__)


def steps(row: Row, chosen: Chosen) -> Measures:
    """All tasks in one step."""
    settings, model = chosen.settings, row.model
    asked = settings.model_dump(mode="json", exclude={"include", "data"}) | {"template": row.chat_template}
    inputs: dict[str, Step | Part] = {"model": model}
    for name in ("include", "data"):
        if path := getattr(settings, name):
            inputs[name] = row.folder(path)
    label, run = f"{chosen.name} of {model.label}", "harness.evaluate.openllm:run"
    kind = StepKind("openllm", dict, dict, run, 2, on_device=True, processes="workers", one_thread=True)
    return {"results": kind.step(label, asked, inputs, row.how, name=chosen.name)}


def run(work: Work) -> dict[str, Any]:
    """The step: lm-eval's tasks on a model's folder; measured are the scores of benchmarks that are whole."""
    from benchmarks.openllm import evaluate as openllm
    from benchmarks.openllm import leaderboard_scores, tasks
    from harness.evaluate.lm_eval_model import PooledLM
    from harness.models.worker_pool import Pool

    settings, context = work.settings, work.context
    include, data = work.inputs.get("include"), work.inputs.get("data")
    asked = {"num_fewshot": settings["num_fewshot"]}
    tasks.check(settings["tasks"], include, data, **asked)
    dtype, count = settings.get("dtype", "float32"), context.get("workers", 1)
    with Pool(work.inputs["model"], context["device"], dtype, count) as pool:
        lm = PooledLM(
            pool,
            settings["batch_size"],
            replies=Path(context["replies"]) if context.get("replies") else None,
            template=settings.get("template"),
            chatting=settings.get("chat", False),
        )
        results = openllm.evaluate(
            lm,
            settings["tasks"],
            include,
            data=data,
            limit=settings["limit"],
            chat=settings.get("chat", False),
            **asked,
        )
    write_json_lines(work.out / "results.jsonl", (row for result in results for row in _values(result)))
    write_json_lines(
        work.out / "details.jsonl", (row for result in results for row in _details(result, lm.cut))
    )
    truncated = Counter(task for task, _ in lm.cut)
    if truncated:
        log.warning("prompts that lost their beginning, too long for the model: %s", dict(truncated))
    scores = leaderboard_scores.scores(results)
    return {
        "documents": sum(len(result.values) for result in results),
        "truncated": dict(truncated),
        "versions": {result.task: result.version for result in results},
        "num_fewshot": {result.task: result.num_fewshot for result in results},
        "scores": {name: asdict(score) for name, score in scores.items()},
        "averages": leaderboard_scores.averages(scores),
        "batches": {"computed": lm.computed, "kept": lm.kept},
    }


def read(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    """Every document; `truncated` says that its prompt lost its beginning, too long for the model."""
    results, details = (
        read_json_lines(folders["results"] / f"{name}.jsonl") for name in ("results", "details")
    )
    cut = {(row["task"], row["document"]) for row in details if row["truncated"]}
    for row in results:
        task, document = row["task"], row["document"]
        version = f"{row['version']}, {row['num_fewshot']}-shot"
        truncated = (task, document) in cut
        yield Value(
            chosen.declaration.metric, document, row["value"], task, truncated=truncated, version=version
        )


def summaries(folders: Folders) -> Iterator[SummaryValue]:
    """A leaderboard's score of each benchmark that is whole, and their average where all are."""
    measured = json.loads((folders["results"] / RECORD).read_text())["measured"]
    yield SummaryValue("", "n", float(measured["documents"]))
    for name, score in measured["scores"].items():
        yield SummaryValue("", f"raw/{name}", score["raw"])
        yield SummaryValue("", f"normalised/{name}", score["normalised"])
    for average in measured["averages"].values():  # of v1 or v2, never both: a benchmark has one of them
        yield SummaryValue("", "average", average)


def _values(result: Any) -> Iterable[dict[str, Any]]:
    about = {
        "task": result.task,
        "version": result.version,
        "num_fewshot": result.num_fewshot,
        "metric": result.metric,
    }
    return (about | {"document": document, "value": value} for document, value in result.values.items())


def _details(result: Any, cut: set[tuple[str, int]]) -> Iterable[dict[str, Any]]:
    for document, said in result.details.items():
        truncated = (result.task, int(document.partition("-")[0])) in cut
        yield {"task": result.task, "document": document, "truncated": truncated, **said}


ONE, TWO = (
    MeasuredBenchmark(declared, steps, read, summaries) for declared in (declaration.ONE, declaration.TWO)
)
