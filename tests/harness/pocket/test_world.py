"""The world on disk: the same bytes for the same seed, nothing held out leaks, every word has a token."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from harness.pocket.build import World, build
from harness.pocket.facts import ANIMALS, Atom, Facts, Split, load_facts
from harness.pocket.questions import CATEGORIES, Key, atoms, parse
from harness.pocket.sampling import belongs
from harness.pocket.scoring import score
from tests.harness.pocket.ab_questions import inside_ab

SMALL = World(pretrain=600, sft=1200, pairs=600, validation_pairs=100)
TRAINING = ("sft.jsonl", "preference_train.jsonl")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    build(SMALL, out)
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def category(key: Key) -> str:
    """Which of MT-Bench's eight categories a question belongs to."""
    if key.kind == "fact":
        return "stem" if key.args[0] in ANIMALS else "humanities"
    names = {"self": "roleplay", "line": "writing", "compare": "reasoning"}
    names |= {"sum": "math", "scene": "extraction"}
    return names.get(key.kind, "coding")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def conversations(path: Path) -> Iterator[tuple[str, ...]]:
    """The user's turns of every dialogue of a training file; A-or-B questions count as what they hold."""
    for row in rows(path):
        turns = tuple(m["content"] for m in row.get("messages", row.get("prompt")) if m["role"] == "user")
        held = inside_ab(turns[0])
        yield (held,) if held else turns


def asked(path: Path, facts: Facts) -> set[Atom]:
    """The atoms of every question of a training file; each must parse."""
    found: set[Atom] = set()
    for turns in conversations(path):
        keys = parse(turns, facts)
        assert keys, turns
        found |= {atom for key in keys for atom in atoms(key)}
    return found


def exam(world: Path, split: Split, facts: Facts) -> set[Atom]:
    """The atoms of every MT-Bench and AlpacaEval question of a split."""
    turns = [tuple(row["turns"]) for row in rows(world / split / "mt_bench" / "question.jsonl")]
    singles = json.loads((world / split / "alpaca_eval" / "questions.json").read_text())
    turns += [(row["instruction"],) for row in singles]
    found: set[Atom] = set()
    for each in turns:
        keys = parse(each, facts)
        assert keys and len(keys) == len(each), each
        assert all(belongs(key, split, facts) for key in keys), each
        found |= {atom for key in keys for atom in atoms(key)}
    return found


def test_two_builds_are_equal_byte_for_byte(world: Path, tmp_path: Path) -> None:
    build(SMALL, tmp_path)
    assert contents(tmp_path) == contents(world)


def test_another_seed_is_another_world(world: Path, tmp_path: Path) -> None:
    build(replace(SMALL, seed=1), tmp_path)
    first, second = contents(world), contents(tmp_path)
    assert first.keys() == second.keys()
    same = {name for name in first if first[name] == second[name]}
    constant = {n for n in first if n.startswith("tokenizer") or n.endswith(("judge_prompts.jsonl", ".yaml"))}
    assert same == constant


@pytest.mark.parametrize("name", TRAINING)
def test_no_held_out_content_is_asked_in_training(world: Path, name: str) -> None:
    facts = load_facts(world)
    held_out = exam(world, "validation", facts) | exam(world, "test", facts)
    assert not asked(world / name, facts) & held_out


def test_validation_and_test_are_disjoint(world: Path) -> None:
    facts = load_facts(world)
    assert not exam(world, "validation", facts) & exam(world, "test", facts)
    assert not asked(world / "preference_validation.jsonl", facts) & exam(world, "test", facts)


@pytest.mark.parametrize("name", TRAINING)
def test_answers_in_training_state_no_held_out_fact(world: Path, name: str) -> None:
    """The other way content could leak: an assistant's sentence about an entity's held-out attribute."""
    facts = load_facts(world)
    form = re.compile(
        r"the (\w+) of (?:the )?(\w+) is(?: \w+ and the (\w+) is)?|i am (?:the )?(\w+) and my (\w+) is"
    )
    for row in rows(world / name):
        for message in [
            *row.get("messages", ()),
            *row.get("prompt", ()),
            *row.get("chosen", ()),
            *row.get("rejected", ()),
        ]:
            for attr, entity, other, me, mine in form.findall(message["content"]):
                if entity in facts.values:
                    assert {facts.held_out[entity][a] for a in (attr, other) if a} == {"train"}
                if me:
                    assert facts.held_out[me][mine] == "train"


def test_pretraining_text_holds_no_question_and_no_unstated_skill(world: Path) -> None:
    text = (world / "pretrain.jsonl").read_text()
    assert "?" not in text and "sure ," not in text


def test_training_has_two_turns_and_every_category(world: Path) -> None:
    facts = load_facts(world)
    for name in TRAINING:
        keys = [parse(turns, facts) or () for turns in conversations(world / name)]
        assert {category(k[0]) for k in keys if len(k) == 2} == set(CATEGORIES)
        assert {category(k[0]) for k in keys if len(k) == 1} == set(CATEGORIES)
    questions = [turns[0]["content"] for turns in (row["messages"] for row in rows(world / "sft.jsonl"))]
    assert any(inside_ab(q) for q in questions)


def test_chosen_beats_rejected_but_for_the_label_noise(world: Path) -> None:
    facts = load_facts(world)
    margins = []
    for row in rows(world / "preference_train.jsonl"):
        turns = tuple(m["content"] for m in row["prompt"] if m["role"] == "user")
        margins.append(
            score(facts, turns, row["chosen"][0]["content"])
            - score(facts, turns, row["rejected"][0]["content"])
        )
    assert all(abs(m) >= 2 for m in margins)
    assert 0.02 < sum(m < 0 for m in margins) / len(margins) < 0.08


def test_every_text_survives_the_tokenizer(world: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world / "tokenizer")
    texts = {row["text"] for row in rows(world / "pretrain.jsonl")}
    for name in (*TRAINING, "preference_validation.jsonl"):
        for row in rows(world / name):
            texts |= {m["content"] for value in row.values() for m in value}
    for split in ("validation", "test"):
        for row in rows(world / split / "mt_bench" / "question.jsonl"):
            texts |= {*row["turns"], *row["reference"]}
        texts |= {
            q["instruction"]
            for q in json.loads((world / split / "alpaca_eval" / "questions.json").read_text())
        }
        for path in (world / split / "openllm").glob("*.jsonl"):
            texts |= {
                f"{row['context']} {choice}"
                for row in rows(path)
                for choice in row.get("choices", [row.get("answer")])
            }
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


def test_chat_template_gives_one_token_a_turn_end_and_eos_ends_the_turn(world: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world / "tokenizer")
    messages = [{"role": "user", "content": "add 2 and 3 ."}, {"role": "assistant", "content": "5 ."}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "<|im_start|>user\nadd 2 and 3 .<|im_end|>\n<|im_start|>assistant\n5 .<|im_end|>\n"
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    assert ids[-1] == tokenizer.eos_token_id and ids.count(tokenizer.eos_token_id) == 2
    prompt = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
    assert ids[: len(prompt)] == prompt
    assert tokenizer.bos_token is None and tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert 200 <= len(tokenizer) <= 300


def test_openllm_contexts_are_prefixes_in_tokens(world: Path) -> None:
    """lm-eval encodes context + " " + choice and cuts at the context's length."""
    tokenizer = AutoTokenizer.from_pretrained(world / "tokenizer")
    for split in ("validation", "test"):
        for path in sorted((world / split / "openllm").glob("*.yaml")):
            task = yaml.safe_load(path.read_text())
            assert (
                task["task"] == path.stem
                and task["dataset_kwargs"]["data_files"]["test"] == f"{path.stem}.jsonl"
            )
            documents = rows(path.with_suffix(".jsonl"))
            assert len(documents) >= 40
            for row in documents:
                context = tokenizer.encode(row["context"])
                for choice in row.get("choices", [row.get("answer")]):
                    assert tokenizer.encode(f"{row['context']} {choice}")[: len(context)] == context


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="evenly over 8 categories"):
        build(replace(SMALL, questions=399), tmp_path)
