"""What becomes of the rows of a plan's data: read, dropped by reason, cut; where data and tokenizer lie here.

train pairs: 2312 rows read; 4 dropped: empty answer; 18 dropped: too long
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.common.tokenizer import Tokenizer, load_tokenizer, tokenizer_ids, vocabulary
from harness.data import datasets, prepare
from harness.models.prepare import INIT, LINK
from harness.store.step import Part, Source, Step
from harness.store.store import Store

load_once = cache(load_tokenizer)


def data_lines(steps: Iterable[Step], store: Store) -> Iterator[str]:
    """A line for each step that makes sequences of a data source; what reads the same of one, for the models
    of another world seed, has one line.
    """
    counted = [step for step in steps if step.kind in (prepare.DIALOGUES, prepare.PAIRS)]
    yield from dict.fromkeys(_line(step, counts_of(step, store)) for step in counted)


def _line(step: Step, counts: Mapping[str, Any] | None) -> str:
    return f"{step.label}: {described(counts) if counts else 'not at hand, so not counted yet'}"


def counts_of(step: Step, store: Store) -> Mapping[str, Any] | None:
    """What a step of rows counts: its record where it is done, else what it would; None where that is not to
    be known here.
    """
    if done := store.find(step):
        return dict(store.record(done)["measured"])
    data = folder_at(step.inputs.data, store) if step.inputs.data else None
    outside = None if step.inputs.data else datasets.local_path(datasets.Source(step.context["path"]))
    if data is None and outside is None:
        return None
    tokenizer = tokenizer_at(step.inputs.tokenizer, store)
    if tokenizer is None:
        return None
    pairs = step.kind == prepare.PAIRS
    models = [step.inputs.tokenizer, *([step.inputs.teacher] if pairs else [])]
    folders = [folder for model in models if (folder := folder_at(model, store))]
    vocab = min((vocabulary(tokenizer, folder) for folder in folders), default=tokenizer_ids(tokenizer))
    counted = prepare.fitted_pairs if pairs else prepare.fitted_dialogues
    return counted(step.settings, tokenizer, data, step.context, vocab)[1]


def described(counts: Mapping[str, Any]) -> str:
    """Counts of rows in words."""
    dropped = [f"{count} dropped: {reason}" for reason, count in counts["dropped"].items()]
    cut = [f"{counts['truncated']} truncated"] if "truncated" in counts else []
    return "; ".join([f"{counts['read']} rows read", *(dropped or ["none dropped"]), *cut])


def folder_at(source: Source, store: Store | None = None) -> Path | None:
    """The folder of an input: in the store, or where a model's link leads; None where it is not here yet."""
    step, inside = (source.step, source.folder) if isinstance(source, Part) else (source, "")
    if store and (done := store.find(step)):
        return done / inside
    return Path(step.context["path"]) if step.kind == LINK and Path(step.context["path"]).is_dir() else None


def tokenizer_at(model: Source, store: Store | None = None) -> Tokenizer | None:
    """The tokenizer that a model will have, where it is here: the generated world's is always known."""
    if isinstance(model, Step) and INIT in {s.kind for s in (model, *model.sources.values())}:
        from harness.pocket import tokenizer

        return tokenizer.tokenizer()
    folder = folder_at(model, store)
    return load_once(folder) if folder else None
