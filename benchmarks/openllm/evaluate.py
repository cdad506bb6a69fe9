"""Open LLM Leaderboard v1 and v2, and local tasks of the same kind: lm-eval asks, reads and scores.

    TaskResult("arc_challenge", version="1.0", num_fewshot=25, metric="acc_norm", values={"0-5d1f30a7": 1.0},
        details={"0-5d1f30a7": {"target": 2, "choices": [" water", ...], "loglikelihoods": [-3.1, ...], ...}})

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.openllm.local_rows import extension
from benchmarks.openllm.tasks import Board, board_of, expand, folder_index, ifeval_tools, index, leaves

log = logging.getLogger(__name__)

RANDOM_SEED, OTHER_SEED = 0, 1234  # lm-eval's own: `random`; numpy, torch and the few-shot sampler
METRICS = ("acc_norm", "acc", "exact_match")  # the first that a task has is its primary one
FILTER = "strict-match"  # of several readings of one reply, the leaderboard's; else the task's first


@dataclass(frozen=True)
class TaskResult:
    """One task: its primary metric, higher is better, on every document, and what the model said of it.

    The details of a document: "target" and all of its "metrics"; for log-likelihoods (nats) "choices",
    "loglikelihoods" and "greedy", an item a choice; for generations "generated".
    """

    task: str
    version: str
    num_fewshot: int
    metric: str
    values: Mapping[str, float]  # "<position>-<hash of the document>" -> value
    details: Mapping[str, Mapping[str, Any]]

    @property
    def mean(self) -> float:
        return fmean(self.values.values())


def evaluate(
    lm: Any,
    tasks: Sequence[str],
    include: Path | None = None,
    *,
    data: Path | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    chat: bool = False,
    began: Callable[[int, int], None] = lambda task, of: None,
) -> list[TaskResult]:
    """Run tasks, groups, tags or sets ("v1", "v2") on lm-eval's `lm`, on the first `limit` documents of each.

    `include` is a folder of YAML files, `data` one of the leaderboards' rows (local_rows.LOCAL); None reads
    the hub. `num_fewshot` None means the leaderboard's number for its tasks, the YAML's for others. Each name
    is a run of its own: its batches, and with them the last digits, do not depend on what else was asked for.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is a number of documents, 1 or more, not {limit}")
    names = expand(tasks, include)
    known = index(names, include)
    own = folder_index(include) if include else {}
    with TemporaryDirectory() as scratch, quiet(names), ifeval_tools():
        manager = manager_of(known, data, Path(scratch))
        found: list[TaskResult] = []
        for task, name in enumerate(names):
            began(task, len(names))
            boards = {leaf: None if leaf in own else board_of(leaf) for leaf in leaves(known, name)}
            found += _run(lm, manager, name, boards, num_fewshot, limit, chat)
    return found


def documents(tasks: Sequence[str], include: Path | None, data: Path | None, limit: int | None) -> list[str]:
    """What each document of tasks asks, without examples: what lm-eval itself would look for in training
    data.
    """
    import torch  # lm-eval imports it

    names, found = expand(tasks, include), list[str]()
    known = index(names, include)
    with TemporaryDirectory() as scratch, quiet(names), ifeval_tools(), seeded(torch.device("cpu")):
        manager = manager_of(known, data, Path(scratch))
        for name in names:
            loaded = manager.load([name])["tasks"]
            for task in (loaded[leaf] for leaf in leaves(known, name)):
                found += [_query(task, document) for document in islice(task.eval_docs, limit)]
    return found


def _query(task: Any, document: Any) -> str:
    """What lm-eval looks for in training data; the prompt where a task names nothing else."""
    if task.config.should_decontaminate:
        try:
            return str(task.doc_to_decontamination_query(document))
        except (SyntaxError, ValueError):
            pass  # lm-eval reads what a template gives as a Python literal, and ARC's is a question
    return str(task.doc_to_text(document))


def _run(
    lm: Any,
    manager: Any,
    name: str,
    boards: Mapping[str, Board | None],
    num_fewshot: int | None,
    limit: int | None,
    chat: bool,
) -> list[TaskResult]:
    from lm_eval.evaluator import evaluate as lm_evaluate  # imports torch and datasets

    with seeded(lm.device):
        loaded = manager.load([name])["tasks"]
    tasks = {leaf: loaded[leaf] for leaf in boards}  # in one order: a tag is a set
    for leaf, task in tasks.items():
        board = boards[leaf]
        _set_fewshot(task, board.num_fewshot if board and num_fewshot is None else num_fewshot)
        if process := task.config.process_docs:
            # Not at every look: it may shuffle, and it is slow.
            task.set_config("process_docs", cache(process))
    with seeded(lm.device):
        found = lm_evaluate(
            lm,
            {"tasks": tasks},
            limit=limit,
            bootstrap_iters=0,  # intervals are drawn from the documents' values, by the reports
            log_samples=True,
            apply_chat_template=chat,
            fewshot_as_multiturn=True,
        )
    metrics = {leaf: (board.metric,) if board else METRICS for leaf, board in boards.items()}
    return [_result(task, found["samples"][leaf], metrics[leaf]) for leaf, task in tasks.items()]


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
    read = {f"{s['doc_id']}-{s['doc_hash'][:8]}": s for s in samples if s["filter"] == chosen}
    values = {document: float(s[metric]) for document, s in read.items()}
    details = {document: _details(s) for document, s in read.items()}
    return TaskResult(task.config.task, str(task.VERSION), task.config.num_fewshot, metric, values, details)


def _details(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What the model said of a document, every metric of it, and what was right."""
    metrics = {name: _plain(sample[name]) for name in sample["metrics"]}
    said = [replies[0] for replies in sample["resps"]]
    known = {"target": sample["target"], "metrics": metrics}
    if all(isinstance(reply, str) for reply in said):
        return known | {"generated": said}
    if all(isinstance(reply, tuple) for reply in said):
        choices = [arguments[1] for arguments in sample["arguments"]]
        logps, greedy = zip(*said, strict=True)
        return known | {"choices": choices, "loglikelihoods": list(logps), "greedy": list(greedy)}
    return known | {"loglikelihoods": said}  # of whole texts


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def manager_of(known: Mapping[str, Any], data: Path | None, scratch: Path) -> Any:
    """A task manager over `known`, each task extended by where its rows are."""
    from lm_eval.tasks import TaskManager  # imports datasets

    for n, entry in enumerate(known.values()):
        if entry.yaml_path:  # a tag has none
            (scratch / f"{n}.yaml").write_text(extension(entry.cfg, entry.yaml_path, data))
    return TaskManager(include_path=[scratch], include_defaults=False)


@contextmanager
def seeded(device: Any) -> Iterator[None]:
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
def quiet(tasks: Sequence[str]) -> Iterator[None]:
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
