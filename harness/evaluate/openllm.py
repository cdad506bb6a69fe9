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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple

from benchmarks.openllm import declaration, samples
from harness.common.cost import BYTES, CHUNK, Cost, Unknown
from harness.common.files import read_json_lines, write_json_lines
from harness.common.underway import news
from harness.evaluate.log_likelihoods.batches import has_room_for_all
from harness.store.integrity import RECORD
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import optional
from harness.suite.measurement import Chosen, Folders, MeasuredBenchmark, Measures, Row, SummaryValue, Value

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskSettings:
    """Which tasks, and how lm-eval asks them; `template` None is the tokenizer's own."""

    tasks: tuple[str, ...]
    num_fewshot: int | None
    limit: int | None
    batch_size: int
    chat: bool = False
    template: str | None = None
    dtype: str = optional("float32")


@dataclass(frozen=True)
class TaskInputs(Generic[Ref]):
    """The model; a folder of lm-eval's YAML files, and one of the tasks' rows, where there are any."""

    model: Ref
    include: Ref | None = None
    data: Ref | None = None


def steps(row: Row, chosen: Chosen) -> Measures:
    """All tasks in one step."""
    options, model = chosen.settings, row.model
    settings = TaskSettings(
        options.tasks,
        options.num_fewshot,
        options.limit,
        options.batch_size,
        options.chat,
        row.chat_template,
        options.dtype,
    )
    include, data = (row.folder(path) if path else None for path in (options.include, options.data))
    inputs = TaskInputs[Source](model, include, data)
    label = f"{chosen.name} of {model.label}"
    return {"results": TASKS.step(label, settings, inputs, row.runtime, name=chosen.name)}


class _Passes(NamedTuple):
    """lm-eval's passes over tasks: how many, all their tokens, those of them that are computed, those whose
    logits are, and those that are generated behind them.
    """

    passes: float
    tokens: float
    computed: float
    asked: float
    generated: float


def _passes(task: Mapping[str, Any], settings: TaskSettings, vocab: int) -> _Passes:
    """Of one task of texts.yaml."""
    share = min(1.0, 4 * (settings.limit or task["passes"]) / task["passes"])
    passes, length, generated = share * task["passes"], task["tokens"], task.get("generated", 0)
    whole = has_room_for_all(settings.batch_size * length, vocab, settings.dtype)
    left, asked = (1.0, length) if whole else (task.get("computed", 1.0), task.get("asked", length))
    if generated:
        asked = 1  # what a prompt begins its answer with
    return _Passes(passes, passes * length, left * passes * length, passes * asked, passes * generated)


def _cost(step: Step[TaskSettings, TaskInputs[Source]], sizes: Sizes) -> Cost:
    """lm-eval's passes: FLOPs as if each were computed alone, logits of the positions that are asked."""
    from benchmarks.openllm import tasks

    settings, model, typical = step.settings, sizes.model(step.inputs.model), sizes.typical("tasks")
    asked: list[Mapping[str, Any]] = []
    for name in tasks.SETS.get(settings.tasks[0], settings.tasks):
        task = typical["pocket"] if name.startswith("pocket") else typical.get(name)
        if task is None:
            raise Unknown(f"requests of lm-eval's task {name}")
        asked.append(task)
    of_tasks = [_passes(task, settings, model.vocab) for task in asked]
    total = _Passes(*map(sum, zip(*of_tasks, strict=True)))
    batch, number = settings.batch_size, BYTES[settings.dtype]
    read = batch * max(task["tokens"] for task in asked)
    cached = batch * max(task["tokens"] + task["generated"] if "generated" in task else 0 for task in asked)
    logits = read if has_room_for_all(read, model.vocab, settings.dtype) else CHUNK
    memory = model.forward_memory(read, number, logits) + model.cache(cached) * number / 4
    flops = model.forward_flops(total.tokens + total.generated, total.asked + total.generated)
    computed = model.forward_flops(total.computed + total.generated, total.asked + total.generated)
    return Cost(
        work="forward",
        flops=flops,
        precision=settings.dtype,
        computed=computed / flops,
        tokens=round(total.tokens + total.generated),
        sequential=round((total.passes + total.generated) / batch),
        layers=model.layers,
        reads=model.parameters * number,
        loads=model.parameters * number,
        disk=300 * total.passes,
        memory=sizes.limits.workers * memory,
        assumed=(*model.notes, "lm-eval's requests: passes and tokens of texts.yaml"),
    )


def run(work: Work[TaskSettings, TaskInputs[Path]]) -> dict[str, Any]:
    """The step: lm-eval's tasks on a model's folder; measured are the scores of benchmarks that are whole."""
    from benchmarks.openllm import evaluate as openllm
    from benchmarks.openllm import leaderboard_scores, tasks
    from harness.evaluate.lm_eval_model import PooledLM
    from harness.models.worker_pool import Pool

    settings, context = work.settings, work.context
    include, data, shots = work.inputs.include, work.inputs.data, settings.num_fewshot
    # A wrong task name must not cost the load of a model.
    tasks.check(settings.tasks, include, data, num_fewshot=shots)
    with Pool(work.inputs.model, context["device"], settings.dtype, context.get("workers", 1)) as pool:
        lm = PooledLM(
            pool,
            settings.batch_size,
            replies=Path(context["replies"]) if context.get("replies") else None,
            template=settings.template,
            chatting=settings.chat,
        )
        results = openllm.evaluate(
            lm,
            settings.tasks,
            include,
            data=data,
            limit=settings.limit,
            chat=settings.chat,
            num_fewshot=shots,
            began=_told_tasks(),
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
        "batches": {"computed": lm.computed, "kept": lm.kept, "halved": lm.halved},
    }


def _told_tasks() -> Callable[[int, int], None]:
    """Tells how many tasks are done; of one alone its requests say more."""
    counts: list[news.Count] = []

    def began(task: int, of: int) -> None:
        if of > 1 and not counts:
            counts.append(news.count("tasks", of))
        for counted in counts:
            counted.at(task)

    return began


def read(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    """Every document; `truncated` says that its prompt lost its beginning, too long for the model."""
    results, details = (
        read_json_lines(folders["results"] / f"{name}.jsonl") for name in ("results", "details")
    )
    cut = {(row["task"], row["document"]) for row in details if row["truncated"]}
    half = "" if chosen.settings.dtype == "float32" else f", {chosen.settings.dtype}"
    for row in results:
        task, document = row["task"], row["document"]
        version = f"{row['version']}, {row['num_fewshot']}-shot{half}"
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


def export(out: Path, rows: Mapping[str, Folders]) -> None:
    """ADPA/samples_arc_challenge_<date>.jsonl and ADPA/results_<date>.json, as lm-eval writes them."""
    for name, folders in rows.items():
        results, details = (
            read_json_lines(folders["results"] / f"{file}.jsonl") for file in ("results", "details")
        )
        record = folders["results"] / RECORD
        asked = json.loads(record.read_bytes())["settings"]
        made = datetime.fromtimestamp(record.stat().st_mtime, UTC)
        samples.write(out / name, results, details, asked, made)


def _values(result: Any) -> Iterable[dict[str, Any]]:
    about = {
        "task": result.task,
        "version": result.version,
        "num_fewshot": result.num_fewshot,
        "metric": result.metric,
    }
    return (about | {"document": document, "value": value} for document, value in result.values.items())


def _details(result: Any, cut: set[tuple[str, int]]) -> Iterable[dict[str, Any]]:
    for document, details in result.details.items():
        truncated = (result.task, int(document.partition("-")[0])) in cut
        yield {"task": result.task, "document": document, "truncated": truncated, **details}


TASKS = StepKind(
    "openllm",
    TaskSettings,
    TaskInputs,
    "harness.evaluate.openllm:run",
    2,
    on_device=True,
    processes="workers",
    one_thread=True,
    cost=_cost,
)
ONE, TWO = (
    MeasuredBenchmark(declared, steps, read, summaries, export=export)
    for declared in (declaration.ONE, declaration.TWO)
)
