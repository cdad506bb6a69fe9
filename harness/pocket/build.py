"""Writing a pocket world to disk.

    out/world.json  tokenizer/  pretrain.jsonl  sft.jsonl  preference_train.jsonl  preference_validation.jsonl
    out/{validation,test}/mt_bench/{question,judge_prompts}.jsonl
    out/{validation,test}/alpaca_eval/questions.json
    out/{validation,test}/openllm/pocket_{facts,compare,sums}.{yaml,jsonl}

The same settings write the same bytes.
"""

import json
import random
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MultipleOf

from harness.pocket import benchmark_files, dialogues, tokenizer
from harness.pocket import pretraining_text as pretrain
from harness.pocket.facts import ANIMALS, PEOPLE, Facts, Split, draw_facts, to_json
from harness.pocket.language import DATA
from harness.pocket.questions import CATEGORIES

MOST = 10_000_000  # rows of a file, which is written from memory
Rows = Annotated[int, Ge(1), Le(MOST)]
Questions = Annotated[int, Ge(len(CATEGORIES)), Le(MOST), MultipleOf(len(CATEGORIES))]
DIALOGUES = "sft.jsonl"
PAIRS, VALIDATION_PAIRS = "preference_train.jsonl", "preference_validation.jsonl"
HELD_OUT_SPLITS: tuple[Split, ...] = ("validation", "test")


@dataclass(frozen=True)
class World:
    """What a world is made of."""

    seed: Annotated[int, Ge(0)] = 0
    """Which world: its animals, people, sums and texts."""
    animals: Annotated[int, Ge(8), Le(len(ANIMALS))] = 24
    """Animals, each with its properties."""
    people: Annotated[int, Ge(8), Le(len(PEOPLE))] = 16
    """People, each with theirs."""
    pretrain: Rows = 24000
    """Plain texts to pretrain on."""
    sft: Rows = 6000
    """Dialogues to learn from."""
    pairs: Rows = 3000
    """Preference pairs."""
    validation_pairs: Rows = 300
    """Pairs that are held out."""
    questions: Questions = 400
    """Questions of AlpacaEval, as many of each category, in each held-out split."""
    mt_questions: Questions = 160
    """Questions of MT-Bench, likewise."""

    def questions_in(self, folder: str) -> int:
        """How many questions a benchmark's folder of a held-out split has."""
        return self.mt_questions if folder.endswith("mt_bench") else self.questions


def build(world: World, out: Path) -> dict[str, int]:
    """Write the world under `out`; the number of rows of each file."""
    facts = draw_facts(world.seed, world.animals, world.people)

    def rng(name: str) -> random.Random:
        """Each file draws from a stream of its own, so that one file's size changes no other file."""
        return random.Random(f"{world.seed} {name}")

    out.mkdir(parents=True, exist_ok=True)
    (out / "world.json").write_text(to_json(facts), encoding="utf-8")
    tokenizer.tokenizer().save_pretrained(str(out / "tokenizer"))
    texts = [{"text": text} for text in pretrain.texts(world.pretrain, facts, rng("pretrain"))]
    train = dialogues.preferences(world.pairs, "train", facts, rng("pairs"))
    validation = dialogues.preferences(world.validation_pairs, "validation", facts, rng("validation pairs"))
    counts = {
        "pretrain": _write_rows(out / "pretrain.jsonl", texts),
        "sft": _write_rows(out / DIALOGUES, dialogues.dialogues(world.sft, facts, rng("sft"))),
        "preference_train": _write_rows(out / PAIRS, train),
        "preference_validation": _write_rows(out / VALIDATION_PAIRS, validation),
    }
    for split in HELD_OUT_SPLITS:
        counts |= _exams(world, split, facts, out / split, rng(split))
    return counts


def _exams(world: World, split: Split, facts: Facts, out: Path, rng: random.Random) -> dict[str, int]:
    """The three benchmarks' files of one held-out split."""
    for name in ("mt_bench", "alpaca_eval", "openllm"):
        (out / name).mkdir(parents=True, exist_ok=True)
    two_turns = benchmark_files.mt_bench(world.mt_questions, split, facts, rng)
    questions = benchmark_files.alpaca_eval(world.questions, split, facts, rng)
    # Its delimiters are FastChat's, so that any judge of MT-Bench reads them; the instructions are our own.
    shutil.copyfile(DATA / "judge_prompts.jsonl", out / "mt_bench" / "judge_prompts.jsonl")
    (out / "alpaca_eval" / "questions.json").write_text(
        json.dumps(questions, indent=1) + "\n", encoding="utf-8"
    )
    counts = {
        f"{split}/mt_bench": _write_rows(out / "mt_bench" / "question.jsonl", two_turns),
        f"{split}/alpaca_eval": len(questions),
    }
    for task, rows in benchmark_files.openllm(split, facts, rng).items():
        shutil.copyfile(DATA / f"{task}.yaml", out / "openllm" / f"{task}.yaml")
        counts[f"{split}/{task}"] = _write_rows(out / "openllm" / f"{task}.jsonl", rows)
    return counts


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    lines = [json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)
