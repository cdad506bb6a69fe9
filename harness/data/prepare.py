"""The steps before any training: data as token sequences."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from benchmarks.api import Message
from harness.common.cost import Cost, TextSize, Unknown
from harness.common.files import read_json_lines, write_json_lines
from harness.common.tokenizer import (
    Tokenizer,
    check_same_tokens,
    load_tokenizer,
    tokenizer_ids,
    vocabulary,
)
from harness.data import datasets, fitted, token_sequences
from harness.data.datasets import Loaded, Source
from harness.data.fitted import DROP, Fit, Kept, Pairs, TooLong
from harness.data.layouts import Dialogue, Pair
from harness.data.token_sequences import Sequence, Sequences
from harness.pocket import build
from harness.store import step as steps
from harness.store.step import Part, Ref, Sizes, Step, StepKind, Work
from harness.store.step_record import FLATTENED, optional

T = TypeVar("T", Dialogue, Pair)
Side = Literal["chosen", "rejected"]
KEPT = "no row dropped"
WORLD = "tokens of a pocket run"


@dataclass(frozen=True)
class Rows:
    """Rows of a data source, a part of them: skip and limit count usable rows. `fingerprint`: of what lies
    outside the generated world; `beside`: the columns of a local file beside its layout's that are read.
    """

    path: str
    split: str
    revision: str | None
    layout: str
    limit: int | None
    skip: int
    fingerprint: str | None = optional()
    beside: tuple[str, ...] = optional(())


@dataclass(frozen=True)
class TextSettings:
    file: str


@dataclass(frozen=True)
class TextInputs(Generic[Ref]):
    data: Ref
    tokenizer: Ref


@dataclass(frozen=True)
class DialogueSettings:
    """template: a chat template in place of the tokenizer's own."""

    rows: Rows = field(metadata=FLATTENED)
    pack: bool
    loss_on: Literal["responses", "all"]
    max_length: int
    template: str | None
    too_long: TooLong = optional(DROP)


@dataclass(frozen=True)
class DialogueInputs(Generic[Ref]):
    """data: the generated world, where its rows are read."""

    tokenizer: Ref
    data: Ref | None = None


@dataclass(frozen=True)
class PairSettings:
    rows: Rows = field(metadata=FLATTENED)
    max_length: int
    template: str | None
    too_long: TooLong = optional(DROP)


@dataclass(frozen=True)
class PairInputs(Generic[Ref]):
    """tokenizer: the student's; teacher: the folder of its base model, whose tokens must be the same."""

    tokenizer: Ref
    teacher: Ref
    data: Ref | None = None


@dataclass(frozen=True)
class MismatchedSettings:
    max_length: int


@dataclass(frozen=True)
class MismatchedInputs(Generic[Ref]):
    pairs: Ref


def run_text(work: Work[TextSettings, TextInputs[Path]]) -> dict[str, Any]:
    """The step that tokenises plain text ({"text": ...} lines) for pretraining, each line a sequence of its
    own.
    """
    tokenizer = load_tokenizer(work.inputs.tokenizer)
    rows = read_json_lines(work.inputs.data / work.settings.file)
    ids = tokenizer([row["text"] for row in rows], add_special_tokens=False)["input_ids"]
    lines = [[*line, tokenizer.eos_token_id] for line in ids]
    sequences = (Sequence(row, line, [False] + [True] * (len(line) - 1)) for row, line in enumerate(lines))
    return token_sequences.write(work.out, sequences)


def run_dialogues(work: Work[DialogueSettings, DialogueInputs[Path]]) -> dict[str, Any]:
    """The step that makes token sequences of chat-format SFT data."""
    tokenizer = load_tokenizer(work.inputs.tokenizer)
    vocab = vocabulary(tokenizer, work.inputs.tokenizer)
    sequences, counts = fitted_dialogues(work.settings, tokenizer, work.inputs.data, work.context, vocab)
    return {**token_sequences.write(work.out, sequences), **counts}


def fitted_dialogues(
    settings: DialogueSettings,
    tokenizer: Tokenizer,
    data: Path | None,
    context: Mapping[str, Any],
    vocab: int,
) -> tuple[list[Sequence], dict[str, Any]]:
    """The sequences of chat-format SFT data, with ids below `vocab`, and the counts of what was read, dropped
    and cut.
    """
    loaded = datasets.load_dialogues(_source(settings.rows, data, context))
    fit = Fit(settings.template, settings.max_length, settings.too_long, vocab)
    kept = Kept(dropped=Counter(loaded.dropped))
    rows = _part(loaded, settings.rows)
    sequences = fitted.dialogues_of(tokenizer, rows, fit, settings.loss_on, settings.pack, kept)
    if not sequences:
        raise kept.none_left("dialogue", settings.rows.path, loaded.read)
    return sequences, _counts(loaded, kept, settings.too_long)


def run_pairs(work: Work[PairSettings, PairInputs[Path]]) -> dict[str, Any]:
    """The step that makes token sequences of preferences: folders `chosen` and `rejected`, row by row, and
    prompts.jsonl {"row": 0, "prompt": [message, ...]}.
    """
    tokenizer = load_tokenizer(work.inputs.tokenizer)
    teacher = load_tokenizer(work.inputs.teacher)
    check_same_tokens(tokenizer, teacher, (work.context["student"], work.context["teacher"]))
    vocab = min(vocabulary(tokenizer, folder) for folder in (work.inputs.tokenizer, work.inputs.teacher))
    pairs, counts = fitted_pairs(work.settings, tokenizer, work.inputs.data, work.context, vocab)
    views = {"chosen": pairs.chosen, "rejected": pairs.rejected}
    known = vocab if vocab < tokenizer_ids(tokenizer) else None
    sides = {name: token_sequences.write(work.out / name, s, known) for name, s in views.items()}
    write_json_lines(work.out / "prompts.jsonl", pairs.prompts)
    return {**sides, **counts}


def fitted_pairs(
    settings: PairSettings, tokenizer: Tokenizer, data: Path | None, context: Mapping[str, Any], vocab: int
) -> tuple[Pairs, dict[str, Any]]:
    """The sequences of preferences, with ids below `vocab`, and the counts of what was read, dropped and
    cut.
    """
    loaded = datasets.load_pairs(_source(settings.rows, data, context))
    fit = Fit(settings.template, settings.max_length, settings.too_long, vocab)
    kept = Kept(dropped=Counter(loaded.dropped))
    pairs = fitted.pairs_of(tokenizer, _part(loaded, settings.rows), fit, kept)
    if not pairs.prompts:
        raise kept.none_left("pair", settings.rows.path, loaded.read)
    return pairs, _counts(loaded, kept, settings.too_long)


def _counts(loaded: Loaded[T], kept: Kept, too_long: TooLong) -> dict[str, Any]:
    truncated = {} if too_long == DROP else {"truncated": kept.truncated}
    return {"read": loaded.read, "dropped": kept.dropped, **truncated}


def read_prompts(pairs: Path) -> dict[int, list[Message]]:
    """Row -> its prompt as messages, of a step of pairs."""
    return {row["row"]: row["prompt"] for row in read_json_lines(pairs / "prompts.jsonl")}


def run_mismatched(work: Work[MismatchedSettings, MismatchedInputs[Path]]) -> dict[str, Any]:
    """The step that sets to each prompt the response of the next row with which it fits into max_length,
    the preferred and the dispreferred one in turn.
    """
    sides = [Sequences(work.inputs.pairs / side) for side in ("chosen", "rejected")]
    sequences, n = [], len(sides[0])
    for i in range(n):
        prompt, side = sides[0].prompt(i), sides[i % 2]
        longest = work.settings.max_length - len(prompt)
        others = ((i + step) % n for step in range(1, n))  # the next that fits: no draw, so no seed
        if (j := next((j for j in others if side.response_lengths[j] <= longest), None)) is not None:
            sequences.append(token_sequences.response(int(sides[0].rows[i]), prompt, side.response(j)))
    known = token_sequences.vocabulary_of(work.inputs.pairs / "chosen")
    return {**token_sequences.write(work.out, sequences, known), "dropped": n - len(sequences)}


def _source(rows: Rows, data: Path | None, context: Mapping[str, Any]) -> Source:
    """Where the rows are; a hub id is read at the commit that its fingerprint names."""
    if data is not None:
        return Source(str(data / rows.path), rows.split, None, rows.layout)
    commit = (rows.fingerprint or "").partition("@")[2] or None
    return Source(context["path"], rows.split, commit, rows.layout)


def _part(loaded: Loaded[T], rows: Rows) -> list[T]:
    end = None if rows.limit is None else rows.skip + rows.limit
    part = loaded.rows[rows.skip : end]
    if not part:
        raise ValueError(f"{rows.path}: skip {rows.skip} leaves none of {len(loaded.rows)} usable rows")
    return part


def _rows_size(rows: Rows, step: Step[Any, Any], sizes: Sizes) -> tuple[Mapping[str, Any], int, str]:
    """What is assumed of a row's tokens, how many rows are taken, and whose numbers these are."""
    if step.inputs.data is not None:
        world = sizes.world
        assert world is not None
        count: int | None = {
            build.DIALOGUES: world.sft,
            build.PAIRS: world.pairs,
            build.VALIDATION_PAIRS: world.validation_pairs,
        }.get(rows.path)
        typical, note = sizes.typical("world"), WORLD
    else:
        path = str(step.context["path"])
        pairs = isinstance(step.settings, PairSettings)
        typical = sizes.data(path, rows.split, rows.layout, pairs)
        count, note = typical.get("rows", {}).get(rows.split), f"tokens a row of {path}"
    if count is None or not typical:
        raise Unknown(f"rows of {step.context.get('path', rows.path)}")
    if (remaining := count - rows.skip) <= 0:
        raise ValueError(f"{rows.path}: skip {rows.skip} leaves none of {count} rows")
    return typical, min(remaining, rows.limit or remaining), note


def _pairs_size(step: Step[PairSettings, PairInputs[steps.Source]], side: str, sizes: Sizes) -> TextSize:
    typical, rows, note = _rows_size(step.settings.rows, step, sizes)
    prompt, answer = typical["prompt"], typical[side]
    # Means alone are known, so a source whose mean is too long is scaled instead of counted row by row.
    scale = min(1.0, step.settings.max_length / (prompt + answer))
    answered = round(rows * answer * scale)
    return TextSize(rows, round(rows * (prompt + answer) * scale), answered, (note, KEPT))


def _pairs_cost(step: Step[PairSettings, PairInputs[steps.Source]], sizes: Sizes) -> Cost:
    """Both sides, and the prompts as text at some four bytes a token."""
    sides = [sizes.sequences(Part(step, side)) for side in ("chosen", "rejected")]
    prompts = 4 * sides[0].prompt * sides[0].sequences
    disk = sum(side.disk for side in sides) + prompts
    return Cost(tokens=sum(side.tokens for side in sides), disk=disk, assumed=sides[0].notes)


def _dialogues_size(step: Step[DialogueSettings, Any], part: str, sizes: Sizes) -> TextSize:
    settings = step.settings
    typical, rows, note = _rows_size(settings.rows, step, sizes)
    share, length = 1.0 if settings.loss_on == "all" else typical["answered"], typical["dialogue"]
    if settings.pack:
        sequences, tokens = max(1, round(rows * length / settings.max_length)), rows * length
    else:
        sequences, tokens = rows, rows * min(length, settings.max_length)
    return TextSize(sequences, tokens, round(tokens * share), (note,))


def _text_size(step: Step[TextSettings, TextInputs[steps.Source]], part: str, sizes: Sizes) -> TextSize:
    length, rows = sizes.typical("world")["text"], sizes.world.pretrain if sizes.world else 0
    return TextSize(rows, rows * length, rows * (length - 1), (WORLD,))


def _mismatched_size(
    step: Step[MismatchedSettings, MismatchedInputs[steps.Step[Any, Any]]], part: str, sizes: Sizes
) -> TextSize:
    """As many as pairs, half of them from each side."""
    a, b = (sizes.sequences(Part(step.inputs.pairs, side)) for side in ("chosen", "rejected"))
    all_pairs = TextSize(
        a.sequences + b.sequences, a.tokens + b.tokens, a.answered + b.answered, (*a.notes, *b.notes)
    )
    return all_pairs.share(0.5)


HERE = "harness.data.prepare"
TEXT = StepKind("text", TextSettings, TextInputs, f"{HERE}:run_text", sequences=_text_size)
DIALOGUES = StepKind(
    "dialogues", DialogueSettings, DialogueInputs, f"{HERE}:run_dialogues", sequences=_dialogues_size
)
PAIRS = StepKind(
    "pairs", PairSettings, PairInputs, f"{HERE}:run_pairs", 2, cost=_pairs_cost, sequences=_pairs_size
)
MISMATCHED = StepKind(
    "mismatched", MismatchedSettings, MismatchedInputs, f"{HERE}:run_mismatched", sequences=_mismatched_size
)
