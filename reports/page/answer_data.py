"""Texts as the data of a page: each string once, each benchmark by itself, so that it is read when asked for.

index   [{"id": "texts-0", "benchmark": "my-bench", "methods": [...], "seeds": [0], "views": [...]}]
texts-0 {"strings": [...], "questions": [["81", "writing", [0, 1]]], "views": [{"method": [0, ...], ...}]}
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from markupsafe import Markup

from reports import escapes
from reports.page.table_views import JudgmentSet
from reports.records.benchmarks import DEFAULT, Benchmark, Benchmarks
from reports.records.replicates import among
from reports.records.texts import Text
from reports.statistics.bootstrap import Replicate

Key = tuple[str, str, str]  # pair, dataset, benchmark


class Data(NamedTuple):
    """The page's data blocks: an index, and one block a benchmark by the element's id."""

    sets: Markup
    blocks: dict[str, Markup]


def script(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return escapes.in_script(text)


def data(
    texts: Iterable[Text], methods: Mapping[str, Sequence[str]], benchmarks: Benchmarks = DEFAULT
) -> Data:
    """All texts as blocks; `methods` gives the order of each pair's rows."""
    by_benchmark: dict[Key, list[Text]] = {}
    for text in texts:
        by_benchmark.setdefault((text.pair, text.dataset, text.benchmark), []).append(text)
    index, blocks = [], {}
    for number, (key, rows) in enumerate(sorted(by_benchmark.items())):
        order = {m: at for at, m in enumerate(methods.get(key[0], ()))}
        names = sorted({t.method for t in rows}, key=lambda m: (order.get(m, len(order)), m))
        views, block = _block(rows, names, benchmarks.get(key[2]))
        name = f"texts-{number}"
        pair, dataset, benchmark = key
        about = {"id": name, "pair": pair, "dataset": dataset, "benchmark": benchmark, "methods": names}
        index.append(about | _seeds(rows) | {"views": views})
        blocks[name] = script(block)
    return Data(script(index), blocks)


def _block(
    rows: Sequence[Text], methods: Sequence[str], declared: Benchmark
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One benchmark: what its views are, and the block that holds them."""
    pool: defaultdict[str, int] = defaultdict(count().__next__)  # each string once, numbered by first use
    numbers, replicates = {m: n for n, m in enumerate(methods)}, _numbers(rows)
    ids = sorted({t.question for t in rows}, key=_natural)
    at = {question: n for n, question in enumerate(ids)}
    # Every row of the table answers the same questions, so these are kept once for all.
    asked: dict[str, dict[int, str]] = {}
    category = {}
    for t in rows:
        asked.setdefault(t.question, {})[t.turn] = t.asked
        category[t.question] = t.category
    questions = [[q, category[q], [pool[asked[q][n]] for n in sorted(asked[q])]] for q in ids]

    views: dict[JudgmentSet, list[Text]] = {}
    for t in sorted(rows, key=lambda t: (numbers[t.method], t.replicate, at[t.question], t.turn, t.order)):
        key = JudgmentSet(t.pair, t.dataset, t.benchmark, t.metric, t.judge, t.reference)
        views.setdefault(key, []).append(t)
    columns_of_views, variants = [], []
    for judgments, texts in sorted(views.items()):
        about = {name: getattr(judgments, name) for name in ("judge", "reference", "metric")}
        variants.append(about | {"both_orders": declared.both_orders(judgments.metric)})
        # By column: rows would repeat every key for every verdict.
        by_column: dict[str, list[Any]] = {
            "method": [numbers[t.method] for t in texts],
            "seed": [replicates[t.replicate] for t in texts],
            "question": [at[t.question] for t in texts],
            "turn": [t.turn for t in texts],
            "order": [t.order for t in texts],
            "answer": [pool[t.answer] for t in texts],
            "tokens": [t.tokens for t in texts],
            "cut": [int(t.truncated) for t in texts],
            "theirs": [pool[t.reference_answer] for t in texts],
            "reply": [pool[t.reply] for t in texts],
            "value": [t.value for t in texts],
            "status": [pool[t.status] for t in texts],
        }
        columns_of_views.append(by_column)
    return variants, {"strings": list(pool), "questions": questions, "views": columns_of_views}


def _seeds(rows: Sequence[Text]) -> dict[str, list[Any]]:
    """The seeds of a benchmark's texts; of several worlds, numbers of its replicates, and what these are."""
    known = {t.replicate for t in rows}
    numbers = sorted(set(_numbers(rows).values()))
    if len({r.world for r in known}) < 2:
        return {"seeds": numbers}
    return {"seeds": numbers, "replicates": [", ".join(among(r, known)) for r in sorted(known)]}


def _numbers(rows: Sequence[Text]) -> dict[Replicate, int]:
    """The number of each replicate in the data: its seed, or its place where there are several worlds."""
    known = sorted({t.replicate for t in rows})
    several = len({r.world for r in known}) > 1
    return {r: at if several else r.seed for at, r in enumerate(known)}


def _natural(name: str) -> tuple[int, int, str]:
    """Numbers by size, then other names by their letters."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
