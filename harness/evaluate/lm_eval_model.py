"""lm-eval's requests, answered by a pool of workers; every batch is kept, so that a killed run goes on.

    lm-eval/5d1f30a7c2e4/host-4711-9b2c.jsonl    {"key": "9f3a...", "answers": [[-12.5, false], ...]}

The batches are formed of the whole list of requests, whatever the number of workers and whatever is kept
already: a batch is the unit of work and of the cache. So the numbers are the same with other workers or after
a restart, and a batch that comes again is answered once.

In float32, and on a CPU that has room for the logits of a batch, batches and passes are those of lm-eval's
HFLM, and the numbers plain lm-eval's to the last bit for one thread. Everywhere else log-likelihoods are
computed from what is asked (harness/evaluate/log_likelihoods): the same but for rounding. Generations are
HFLM's.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from math import isnan
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from harness.common.files import sha256
from harness.common.tokenizer import load_config, load_tokenizer, vocabulary
from harness.common.underway import news
from harness.data import chat_template as chat
from harness.evaluate.log_likelihoods.asked_positions import log_likelihoods
from harness.evaluate.log_likelihoods.batches import (
    Likelihood,
    Tokens,
    has_room_for_all,
    likelihood_batches,
    sharing_batches,
)
from harness.models import positions
from harness.models.memory import in_halves
from harness.models.worker_pool import LoadedModel, Pool
from harness.store.append_log import AppendOnlyLog

log = logging.getLogger(__name__)

Kind = Literal["tokens", "asked", "text"]  # log-likelihoods by HFLM or by what is asked, and generations
Text = tuple[str, dict[str, Any]]  # context, how to generate

LIBRARIES = ("lm_eval", "torch", "transformers")
NOT_THE_MODEL = "RECORD.json"  # the store's, with times in it


class PooledLM(HFLM):  # type: ignore[misc]
    """HFLM without a model: it tokenises, forms the batches, and has the pool answer them.

    `template` takes the place of the tokenizer's chat template; `chatting` says that one is needed.
    `replies` is the folder of what was answered before. After a run `computed` and `kept` count batches,
    `halved` how often one was cut in two to fit into memory, and `cut` holds (task, document) of the prompts
    that lost their beginning, too long for the model.
    """

    def __init__(
        self,
        pool: Pool,
        batch_size: int,
        *,
        replies: Path | None = None,
        template: str | None = None,
        chatting: bool = False,
    ) -> None:
        tokenizer = load_tokenizer(pool.folder)
        if chatting:
            tokenizer.chat_template = chat.chat_of(tokenizer, template).template
        # HFLM wants a model for its config alone: the weights live in the pool's processes.
        shell = SimpleNamespace(config=load_config(pool.folder), device=torch.device("cpu"))
        longest = positions.limit(shell.config)
        with _silent():
            super().__init__(pretrained=shell, tokenizer=tokenizer, batch_size=batch_size, max_length=longest)
        self.pool, self._vocab = pool, vocabulary(tokenizer, pool.folder)
        self.computed = self.kept = self.halved = 0
        self.cut: set[tuple[str, int]] = set()
        self._cut: list[bool] = []
        self._lines = AppendOnlyLog(replies / "lm-eval" / _digest(self.identity)[:12] if replies else None)
        self._known = {row["key"]: row["answers"] for row in self._lines.read()[0]}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides an answer beside the batch that the request stands in."""
        return {
            "model": fingerprint(self.pool.folder),
            "template": self.tokenizer.chat_template,
            "device": self.pool.device.partition(":")[0],
            "dtype": self.pool.dtype,
            # Rounding depends on what stands beside a request in a batch, so batches are part of the key.
            "batch_size": self.batch_size,
            "versions": {name: version(name) for name in LIBRARIES},
        }

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Likelihood]:
        """As HFLM's: (context, continuation) -> log-likelihood in nats, and whether it is greedy."""
        answers: list[Likelihood] = super().loglikelihood(requests, disable_tqdm=True)
        self._note(requests, self._cut)
        return answers

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """As HFLM's: log-likelihood of whole texts, in nats."""
        windows = [self._windows(request.args[0]) for request in requests]
        flat = [window for of_text in windows for window in of_text]
        # HFLM sorts within these batches, not over all of them.
        batches = [flat[n : n + self.batch_size] for n in range(0, len(flat), self.batch_size)]
        answers = iter([a for batch in self._answered(self._kind(flat), batches) for a in batch])
        return [sum(next(answers)[0] for _ in of_text) for of_text in windows]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """As HFLM's: (context, how to generate) -> text. Greedy only: a sample kept would not be a sample."""
        texts: list[Text] = [request.args for request in requests]
        self._note(requests, [self._too_long(request.task_name, *request.args) for request in requests])
        collator = Collator(
            texts,
            sort_fn=lambda r: (-len(self.tok_encode(r[0])), r[0]),
            group_by="gen_kwargs",
            group_fn=lambda r: r[1],
        )
        # The very batches of lm-eval, whatever is kept: another batch would round otherwise.
        batches = list(collator.get_batched(n=self.batch_size))
        answers = [text for batch in self._answered("text", batches) for text in batch]
        return cast(list[str], collator.get_original(answers))

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, left_truncate_len: int | None = None
    ) -> list[int]:
        """As HFLM's; ValueError for a text with a token that the model has no embedding of."""
        ids: list[int] = super().tok_encode(string, add_special_tokens, left_truncate_len)
        if (highest := max(ids, default=0)) >= self._vocab:
            raise ValueError(f"{self.pool.folder} has no embedding of id {highest}, of {string[:80]!r}")
        return ids

    def _loglikelihood_tokens(
        self, requests: Sequence[Any], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Likelihood]:
        token_pairs: list[Tokens] = [(context, continuation) for _, context, continuation in requests]
        # lm-eval cuts such a prompt from the left without a word.
        self._cut = [len(context) + len(rest) > self.max_length + 1 for context, rest in token_pairs]
        kind = self._kind(token_pairs)
        if kind == "asked":
            token_pairs = [(context[-(self.max_length + 1 - len(r)) :], r) for context, r in token_pairs]
        together = likelihood_batches if kind == "tokens" else sharing_batches
        batches = together(token_pairs, self.batch_size)
        answers = self._answered(kind, [[token_pairs[n] for n in batch] for batch in batches])
        pairs = zip(batches, answers, strict=True)
        by_position = {n: a for batch, of_batch in pairs for n, a in zip(batch, of_batch, strict=True)}
        return [by_position[n] for n in range(len(token_pairs))]

    def _kind(self, requests: Sequence[Tokens]) -> Kind:
        """How log-likelihoods are computed: by the requests and the kind of device alone."""
        longest = min(max((len(c) + len(r) - 1 for c, r in requests), default=0), self.max_length)
        vocab = self.config.get_text_config().vocab_size
        whole = has_room_for_all(self.batch_size * longest, vocab, self.pool.dtype)
        return "tokens" if whole and self.pool.device == "cpu" else "asked"

    def _answered(self, kind: Kind, batches: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The answers to each batch, kept or from the pool."""
        keys = [_digest([kind, batch]) for batch in batches]
        kept_answers = self._known
        missing = {key: batch for key, batch in zip(keys, batches, strict=True) if key not in kept_answers}
        self.computed, self.kept = self.computed + len(missing), self.kept + len(batches) - len(missing)
        items = [(kind, batch) for batch in missing.values()]
        waiting = list(missing)
        of, done = (
            sum(map(len, batches)),
            sum(len(b) for k, b in zip(keys, batches, strict=True) if k in kept_answers),
        )
        counted = news.count("requests", of, done)
        for n, (answers, halved) in self.pool.map_unordered(
            "harness.evaluate.lm_eval_model:answer", items, self.batch_size
        ):
            self._note_halved(halved, len(items[n][1]))
            done += len(items[n][1])
            counted.at(done)
            if kind != "text" and (wrong := sum(isnan(likelihood) for likelihood, _ in answers)):
                raise ValueError(f"{wrong} log-likelihoods are NaN; are the weights sound? Try float32")
            kept_answers[waiting[n]] = answers
            self._lines.add({"key": waiting[n], "answers": answers})
        by_batch = [kept_answers[key] for key in keys]
        return by_batch if kind == "text" else [[tuple(a) for a in answers] for answers in by_batch]

    def _note_halved(self, halved: int, requests: int) -> None:
        if halved and not self.halved:
            log.warning(
                "a batch of %d requests does not fit into the memory of %s: halved, as others will be",
                requests,
                self.pool.device,
            )
        self.halved += halved

    def _windows(self, text: str) -> list[Tokens]:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def _too_long(self, task: str, context: str, gen_kwargs: dict[str, Any]) -> bool:
        normalized = normalize_gen_kwargs(gen_kwargs, self.max_gen_toks)
        if normalized["do_sample"]:
            raise ValueError(f"{task} draws its answers (do_sample); only greedy generation is measured here")
        room = self.max_length - normalized["max_gen_toks"]
        if room <= 0:
            raise ValueError(
                f"{task} writes up to {normalized['max_gen_toks']} tokens; the model has {self.max_length} "
                "positions for prompt and answer together"
            )
        return bool(len(self.tok_encode(context)) > room)

    def _note(self, requests: Sequence[Any], cut: Sequence[bool]) -> None:
        self.cut |= {(r.task_name, r.doc_id) for r, c in zip(requests, cut, strict=True) if c}


def answer(loaded: LoadedModel, item: tuple[Kind, Sequence[Any]], batch_size: int) -> tuple[list[Any], int]:
    """A worker's part: the answers to one batch, and how often it was halved to fit into memory."""
    kind, batch = item

    def ask(requests: Sequence[Any]) -> list[Any]:
        if kind == "asked":
            return log_likelihoods(loaded.model, requests, share=loaded.unshared is None)
        engine = HFLM(
            pretrained=loaded.model,
            tokenizer=loaded.tokenizer,
            batch_size=batch_size,
            max_length=positions.limit(loaded.model.config),
        )
        if kind == "tokens":
            rows = [(None, list(context), list(continuation)) for context, continuation in requests]
            return list(engine._loglikelihood_tokens(rows, disable_tqdm=True))
        return list(engine.generate_until([SimpleNamespace(args=a) for a in requests], disable_tqdm=True))

    with _silent():
        return in_halves(ask, batch, "dtype")


def fingerprint(folder: Path) -> str:
    """32 hex digits over the files of a model's folder, weights and tokenizer; the store's record apart."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name != NOT_THE_MODEL):
        digest.update(path.name.encode() + bytes.fromhex(sha256(path)))
    return digest.hexdigest()[:32]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def _silent() -> Iterator[None]:
    """HFLM warns of what we do on purpose, and of cut prompts, which are counted."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
