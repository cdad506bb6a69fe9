"""Answers of a model, decoded together: a row that ends leaves, and a prompt that waits takes its place.

An answer is the same whatever is decoded beside it. Each row has a slot of one cache; a model that says other
things with a cache than without, found by a trial, is decoded without.

Nothing but the request decides an answer: what a model's generation config says of penalties is not read, and
neither are the columns of its head that are no tokens.
"""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from harness.common.underway import news
from harness.models import positions
from harness.models.decoding.choice import decoding_of, takes_cache
from harness.models.decoding.limit import BatchLimit, advanced
from harness.models.decoding.rows import Ends, Request, Row, row_of
from harness.models.loading import Model, forward_flops
from harness.store.append_log import AppendOnlyLog, FlushTimer

log = logging.getLogger(__name__)


class Generated(NamedTuple):
    """Response ids, the stop token included; `truncated` where none came within max_tokens, or within the
    positions that a model reads.
    """

    ids: list[int]
    truncated: bool


def generate(
    model: Model,
    requests: Sequence[Request],
    stop: list[int],
    *,
    vocab: int,
    batch: int,
    seed: int,
    kept: Path | None = None,
    limit: BatchLimit | None = None,
) -> list[Generated]:
    """Answer every request, in its order, with ids below `vocab`; at most `batch` are decoded at a time, and
    fewer where memory has run out, which `limit` knows of the calls before.

    Below `kept` answers outlive a kill: what stands there is not decoded again.
    """
    ends, limit = Ends(frozenset(stop), vocab, positions.reads(model)), limit or BatchLimit()
    decode = partial(decoded, model, ends=ends, limit=limit, batch=batch, seed=seed)
    return all_answers(requests, stop, seed, kept, decode)


def all_answers(
    requests: Sequence[Request],
    stop: list[int],
    seed: int,
    kept: Path | None,
    decode: Callable[[Sequence[Request]], Iterable[tuple[int, Generated]]],
) -> list[Generated]:
    """The answer to every request, in order: what is kept, and what `decode` says of the others, each with
    its place among those.
    """
    keys, lines, beat = [_key(request, stop, seed) for request in requests], AppendOnlyLog(kept), FlushTimer()
    answers = {row["key"]: Generated(row["ids"], row["truncated"]) for row in lines.read()[0]}
    missing = [i for i, key in enumerate(keys) if key not in answers]
    if len(missing) < len(keys):
        log.info("%d of %d answers were kept from before", len(keys) - len(missing), len(keys))
    new: list[dict[str, Any]] = []
    counted = news.count("answers", len(keys), len(keys) - len(missing))
    try:
        waiting = [requests[i] for i in missing]
        for done, (position, answer) in enumerate(decode(waiting), len(keys) - len(missing) + 1):
            counted.at(done)
            key = keys[missing[position]]
            answers[key] = answer
            new.append({"key": key, **answer._asdict()})
            if beat.due():
                lines.add(*new)
                new.clear()
    except BaseException:
        lines.add(*new)
        raise
    finally:
        lines.close()
    # What is not written by now needs no keeping: the caller writes all answers next.
    return [answers[key] for key in keys]


def decoding_flops(model: Model, requests: Sequence[Request], answers: Sequence[Generated]) -> int:
    """Operations of giving these answers: without a cache all that stands before a token is read for it."""
    lengths = [(len(r.prompt), len(a.ids)) for r, a in zip(requests, answers, strict=True)]
    cached = takes_cache(model)
    read = sum(p + n if cached else n * p + n * (n - 1) // 2 for p, n in lengths)
    return forward_flops(model, read, sum(n for _, n in lengths))


def _key(request: Request, stop: list[int], seed: int) -> str:
    """What an answer of a model is kept under: all that decides it."""
    return hashlib.sha256(json.dumps([request, stop, seed], default=asdict).encode()).hexdigest()


def decoded(
    model: Model, requests: Sequence[Request], *, ends: Ends, limit: BatchLimit, batch: int, seed: int
) -> Iterator[tuple[int, Generated]]:
    """The position of each request and its answer, as soon as it ends."""
    for request in requests:
        ends.check(request)
    # Prompts of like length enter together, which leaves little to pad.
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt))
    waiting = deque(row_of(i, requests[i], seed, model.device) for i in order)
    begun: dict[int, Row] = {}  # by position, without those whose answer has been given
    together = decoding_of(model)(model, ends)
    while waiting or begun:
        free = together.free_rows(limit.of(batch))
        new = [waiting.popleft() for _ in range(min(free, len(waiting)))]
        begun |= {row.position: row for row in new}
        ended = advanced(together, new)
        if ended is None:
            limit.halve([*{row.position: row for row in (*together.rows, *new)}.values()])
            # From their first token: what was drawn before is drawn again.
            again = [row_of(i, requests[i], seed, model.device) for i in order if i in begun]
            waiting.extendleft(reversed(again))
            begun, together = {}, decoding_of(model)(model, ends)
            torch.cuda.empty_cache()
            continue
        for row in ended:
            del begun[row.position]
            yield row.position, Generated(row.ids, row.ids[-1] not in ends.stop)
