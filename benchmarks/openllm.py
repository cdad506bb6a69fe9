"""Open LLM Leaderboard v1 and local tasks of the same kind: lm-eval is the engine, the model is in memory.

    TaskResult("arc_challenge", version="1.0", num_fewshot=25, metric="acc_norm", values={"0-5d1f30a7": 1.0})

A task is one of a folder of lm-eval YAML files, whose data files are named relative to their YAML, or one
of the leaderboard's, read from the hub or from a local folder. Prompts, requests, filters and metrics are
lm-eval's.

Two caches are left out, for they can answer for another run: lm-eval's `use_cache`, whose key has no
model in it, and that of `datasets`. `simple_evaluate` is left out for its report on the environment
(subprocesses, a call to the hub); `evaluate` beneath it does the work.
"""

import io
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.openllm_data import extension

log = logging.getLogger(__name__)

RANDOM_SEED, OTHER_SEED = 0, 1234  # lm-eval's own: `random`; numpy, torch and the few-shot sampler
METRICS = ("acc_norm", "acc", "exact_match")  # the first that a task has is its primary one
FILTER = "strict-match"  # of several readings of one reply, the leaderboard's; else the task's first


class Leaderboard(NamedTuple):
    """Where lm-eval keeps a task, and how the leaderboard runs it."""

    folder: str
    num_fewshot: int
    metric: str


V1 = {
    "arc_challenge": Leaderboard("arc", 25, "acc_norm"),
    "hellaswag": Leaderboard("hellaswag", 10, "acc_norm"),
    "mmlu": Leaderboard("mmlu/default", 5, "acc"),
    "truthfulqa_mc2": Leaderboard("truthfulqa", 0, "acc"),
    "winogrande": Leaderboard("winogrande", 5, "acc"),
    "gsm8k": Leaderboard("gsm8k", 5, "exact_match"),
}


@dataclass(frozen=True)
class TaskResult:
    """One task: its primary metric, higher is better, on every document."""

    task: str
    version: str
    num_fewshot: int
    metric: str
    values: Mapping[str, float]  # "<position>-<hash of the document>" -> value

    @property
    def mean(self) -> float:
        return fmean(self.values.values())


def evaluate(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[str],
    include: Path | None = None,
    *,
    data: Path | None = None,
    batch_size: int = 16,
    limit: int | None = None,
    num_fewshot: int | None = None,
    chat: bool = False,
) -> list[TaskResult]:
    """Run tasks, groups or tags of `include` or of the leaderboard, on the first `limit` documents of each.

    `data` is a folder of the leaderboard's rows (openllm_data.LOCAL); None reads the hub. `num_fewshot`
    None means the leaderboard's number for its tasks, the YAML's for others. Each name is a run of its
    own: its batches, and with them the last digits, do not depend on what else was asked for.
    """
    from lm_eval.models.huggingface import HFLM  # imports torch and transformers

    if limit is not None and limit < 1:
        raise ValueError(f"limit is a number of documents, 1 or more, not {limit}")
    own = _index(include) if include else {}
    known = own if all(name in own for name in tasks) else {**_leaderboard_index(), **own}
    for name in tasks:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join([*own, *V1])}"
            raise ValueError(f"no task {name!r}; {hint}")

    training, pad_token = model.training, tokenizer.pad_token
    try:
        with TemporaryDirectory() as scratch, _quiet(tasks):
            manager = _manager(known, data, Path(scratch))
            lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
            found: list[TaskResult] = []
            for name in tasks:
                board = None if name in own else _leaderboard(name)
                found += _run(lm, manager, name, board, num_fewshot, limit, chat)
    finally:  # HFLM changes both
        model.train(training)
        tokenizer.pad_token = pad_token
    return found


def _run(
    lm: Any,
    manager: Any,
    name: str,
    board: Leaderboard | None,
    num_fewshot: int | None,
    limit: int | None,
    chat: bool,
) -> list[TaskResult]:
    from lm_eval.evaluator import evaluate as lm_evaluate  # imports torch and datasets

    shots = board.num_fewshot if board and num_fewshot is None else num_fewshot
    with _seeded(lm.device):
        tasks = manager.load([name])["tasks"]
    for task in tasks.values():
        _set_fewshot(task, shots)
        if process := task.config.process_docs:
            task.set_config(
                "process_docs", cache(process)
            )  # not at every look: it may shuffle, and it is slow
    with _seeded(lm.device):
        found = lm_evaluate(
            lm,
            {"tasks": tasks},
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=chat,
            fewshot_as_multiturn=True,
        )
    metrics = (board.metric,) if board else METRICS
    return [_result(task, found["samples"][leaf], metrics) for leaf, task in tasks.items()]


def _set_fewshot(task: Any, shots: int | None) -> None:
    """As `simple_evaluate` does: a task that says 0 keeps it, one that says nothing has 0."""
    configured = task.config.num_fewshot
    if configured is None or (shots is not None and configured != 0):
        task.set_config("num_fewshot", shots or 0)
    task.set_fewshot_seed(OTHER_SEED)
    split, samples = task.fewshot_cfg.split, task.fewshot_cfg.samples
    if task.config.num_fewshot and not task.has_training_docs() and split is None and samples is None:
        # lm-eval would draw from the documents under test, the one in question among them.
        raise ValueError(
            f"{task.config.task}: {task.config.num_fewshot}-shot needs a training split; use num_fewshot=0"
        )


def _result(task: Any, samples: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> TaskResult:
    filters = [s["filter"] for s in samples]
    chosen = FILTER if FILTER in filters else filters[0]
    metric = next((m for m in metrics if m in samples[0]["metrics"]), None)
    if metric is None:
        raise ValueError(
            f"{task.config.task} measures {', '.join(samples[0]['metrics'])}; known: {', '.join(metrics)}"
        )
    values = {
        f"{s['doc_id']}-{s['doc_hash'][:8]}": float(s[metric]) for s in samples if s["filter"] == chosen
    }
    return TaskResult(task.config.task, str(task.VERSION), task.config.num_fewshot, metric, values)


def _leaderboard(name: str) -> Leaderboard | None:
    return V1["mmlu"] if name.startswith("mmlu_") else V1.get(name)


def _index(*folders: Path) -> dict[str, Any]:
    """Task, group or tag -> its entry. All of lm-eval's 14,685 tasks would take 19 s."""
    from lm_eval.tasks import TaskManager  # imports datasets

    found: dict[str, Any] = TaskManager(include_path=list(folders), include_defaults=False).task_index
    return found


@cache
def _leaderboard_index() -> dict[str, Any]:
    spec = find_spec("lm_eval")
    assert spec and spec.origin
    return _index(*(Path(spec.origin).parent / "tasks" / board.folder for board in V1.values()))


def _manager(known: Mapping[str, Any], data: Path | None, scratch: Path) -> Any:
    """A task manager over `known`, each task extended by where its rows are."""
    from lm_eval.tasks import TaskManager  # imports datasets

    for n, entry in enumerate(known.values()):
        if entry.yaml_path:  # a tag has none
            (scratch / f"{n}.yaml").write_text(extension(entry.cfg, entry.yaml_path, data))
    return TaskManager(include_path=[scratch], include_defaults=False)


@contextmanager
def _seeded(device: Any) -> Iterator[None]:
    """lm-eval's global seeds, which tasks draw from; what was there before comes back."""
    import torch

    state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        random.seed(RANDOM_SEED)
        np.random.seed(OTHER_SEED)
        torch.manual_seed(OTHER_SEED)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)


@contextmanager
def _quiet(tasks: Sequence[str]) -> Iterator[None]:
    """No bars and no chatter, but a line on prompts that were cut; a template is compiled only once."""
    import datasets.utils
    import lm_eval.api.model
    import lm_eval.api.task
    import lm_eval.models.huggingface
    import lm_eval.utils

    said, names = io.StringIO(), ", ".join(tasks)
    logger, handler = logging.getLogger("lm_eval"), logging.StreamHandler(said)
    bars = not datasets.utils.are_progress_bars_disabled()
    env = lm_eval.utils.env
    with ExitStack() as undo:
        for module in (lm_eval.api.task, lm_eval.api.model, lm_eval.models.huggingface):
            undo.enter_context(_replaced(module, "tqdm", partial(_no_bar, module.tqdm)))
        undo.enter_context(_replaced(env, "from_string", cache(env.from_string)))
        undo.enter_context(_replaced(logger, "propagate", False))
        logger.addHandler(handler)
        undo.callback(logger.removeHandler, handler)
        if bars:
            datasets.utils.disable_progress_bars()
            undo.callback(datasets.utils.enable_progress_bars)
        yield
    if cut := said.getvalue().lower().count("truncat"):
        log.warning("%s: %d prompts or batches lost their beginning, too long for the model", names, cut)


def _no_bar(tqdm: Any, *args: Any, **settings: Any) -> Any:
    return tqdm(*args, **{**settings, "disable": True})


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
