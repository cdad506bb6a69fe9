"""Rewards: what transformers' own pipeline says of the same text, whatever is scored beside it."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from benchmarks.api import Message
from harness.data import rewards, token_sequences
from harness.signals import reward_model
from harness.signals.kinds import REWARDS
from harness.store.array_file import ArrayFileWriter
from tests.harness.models.tiny_models import tiny_folder

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIAL = ["<pad>", "<end>", "<bos>", "<unk>", "<user>", "<assistant>", "<system>"]
# Of another order than the policy's words, so that no id means the same.
WORDS = [*SPECIAL, *reversed(LETTERS)]
TEMPLATE = (
    "<bos> {% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "<{{ m.role }}> {{ m.content | trim }} <end> {% endfor %}"
)
# The policy knows as plain words what the reward model reads as tokens of its own.
POLICY_WORDS = ["<pad>", "<user>", "<assistant>", "<end>", "<unk>", *LETTERS, "<bos>", "<system>"]
SETTINGS = {"dtype": "float32"}
PROMPTS: dict[int, list[Message]] = {
    0: [{"role": "user", "content": "a b c"}],
    2: [
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": "e"},
        {"role": "user", "content": "f g"},
    ],
    3: [{"role": "user", "content": "h i j k l m n o p"}],
    7: [{"role": "user", "content": "q"}],
}
ANSWERS = {0: "r s t", 2: "u", 3: "v w x y z a b c d e f g", 7: "h h"}


def reward_tokenizer(adds_bos: bool = True, pad: str | None = "<pad>") -> Any:
    whole = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if adds_bos:
        whole.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", WORDS.index("<bos>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=whole,
        bos_token="<bos>",
        eos_token="<end>",
        unk_token="<unk>",
        pad_token=pad,
        additional_special_tokens=["<user>", "<assistant>", "<system>"],
        chat_template=TEMPLATE,
    )


def reward_folder(
    folder: Path, *, pad: str | None = "<pad>", positions: int = 64, labels: int = 1, adds_bos: bool = True
) -> Path:
    """A random reward model; `pad` None names no padding, as Llama's do."""
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        num_labels=labels,
        bos_token_id=WORDS.index("<bos>"),
        eos_token_id=WORDS.index("<end>"),
        pad_token_id=None if pad is None else WORDS.index(pad),
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForSequenceClassification(config).save_pretrained(folder)
    reward_tokenizer(adds_bos, pad).save_pretrained(folder)
    return folder


def rollouts(folder: Path, answers: dict[int, str], truncated: list[bool] | None = None) -> dict[str, Path]:
    """The inputs of a reward step but its model: the policy's token ids, and the prompts as messages."""
    policy, ids = tiny_folder(folder / "policy", words=POLICY_WORDS), POLICY_WORDS.index
    token_sequences.write(
        folder / "rollouts",
        (
            token_sequences.response(row, [ids("<user>"), ids("a")], [*map(ids, text.split()), ids("<end>")])
            for row, text in answers.items()
        ),
    )
    if truncated is not None:
        with ArrayFileWriter(folder / "rollouts", "truncated", "bool") as flags:
            flags.append(np.array(truncated))
    lines = [json.dumps({"row": row, "prompt": prompt}) + "\n" for row, prompt in PROMPTS.items()]
    (folder / "pairs").mkdir()
    (folder / "pairs" / "prompts.jsonl").write_text("".join(lines))
    return {"rollouts": folder / "rollouts", "pairs": folder / "pairs", "tokenizer": policy}


def scored(
    out: Path, inputs: dict[str, Path], tokens: int = 10_000, **settings: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows that a reward step writes, and what it measures."""
    out.mkdir()
    context = {"device": "cpu", "tokens": tokens}
    work = REWARDS.work({**SETTINGS, **settings}, inputs, out, context)
    measured = reward_model.run(work)
    return [json.loads(line) for line in (out / "rewards.jsonl").read_text().splitlines()], measured


def of_pipeline(folder: Path, conversations: list[list[Message]]) -> list[float]:
    """The scores of the model card's code, one text at a time."""
    pipe = pipeline("sentiment-analysis", model=str(folder))
    texts = [
        pipe.tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=False).replace(
            pipe.tokenizer.bos_token, ""
        )
        for c in conversations
    ]
    return [pipe(text, function_to_apply="none")[0]["score"] for text in texts]


def conversation(row: int, answer: str) -> list[Message]:
    return [*PROMPTS[row], {"role": "assistant", "content": answer}]


@pytest.mark.parametrize("pad", ["<pad>", "<end>", None])
def test_rewards_are_those_of_the_model_cards_pipeline_for_any_batch_size(
    tmp_path: Path, pad: str | None
) -> None:
    """Also where the model takes its end of turn for padding, and where it names no padding."""
    model = reward_folder(tmp_path / "model", pad=pad)
    inputs = {**rollouts(tmp_path, ANSWERS), "model": model}
    expected = of_pipeline(model, [conversation(row, text) for row, text in ANSWERS.items()])

    assert statistics.stdev(expected) > 0.1
    for tokens in (1, 40, 10_000):
        rows, measured = scored(tmp_path / f"out {tokens}", inputs, tokens)
        assert [r["row"] for r in rows] == list(ANSWERS)
        assert [r["reward"] for r in rows] == pytest.approx(expected, abs=1e-5)
        assert measured["mean"] == pytest.approx(statistics.mean(expected), abs=1e-5)


def test_a_model_without_padding_is_read_at_the_last_token_whatever_that_is(tmp_path: Path) -> None:
    judge = reward_model.load(reward_folder(tmp_path / "model", pad=None), torch.float32)
    inputs = [[9, 8, 7, 0], [11, 1], [5, 6, 2], [20, 21, 22, 23, 24, 3]]
    alone = [float(judge.model(torch.tensor([ids])).logits[0, 0].detach()) for ids in inputs]

    assert judge.score(inputs, 10_000).rewards == pytest.approx(alone, abs=1e-5)
    assert judge.score([[9, 4], [8, 4, 3]], 10_000).rewards == pytest.approx(
        [judge.score([ids], 1).rewards[0] for ids in ([9, 4], [8, 4, 3])], abs=1e-5
    )


def test_a_batch_that_does_not_fit_is_scored_in_halves_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = reward_model.load(reward_folder(tmp_path / "model"), torch.float32)
    inputs = [[9, 8, 7, 1], [11, 1], [5, 6, 2], [20, 21, 22, 23, 24, 3]]
    whole, forward = judge.score(inputs, 10_000), judge.model.forward

    def on_small_device(ids: torch.Tensor, *arguments: Any, **how: Any) -> Any:
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(ids, *arguments, **how)

    monkeypatch.setattr(judge.model, "forward", on_small_device)
    halved = judge.score(inputs, 10_000)
    assert halved.rewards == pytest.approx(whole.rewards, abs=1e-5)
    assert (whole.halved, halved.halved) == (0, 1)


def test_padding_changes_nothing_for_an_encoder_that_reads_both_ways(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        num_labels=1,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(tmp_path / "model")
    reward_tokenizer().save_pretrained(tmp_path / "model")
    judge = reward_model.load(tmp_path / "model", torch.float32)
    inputs = [judge.input(conversation(row, text)).ids for row, text in ANSWERS.items()]

    alone = judge.score(inputs, 1).rewards
    assert statistics.stdev(alone) > 0.01
    assert judge.score(inputs, 10_000).rewards == pytest.approx(alone, abs=1e-5)


def test_what_an_answer_is_stands_beside_its_reward(tmp_path: Path) -> None:
    inputs = {
        **rollouts(tmp_path, ANSWERS, [False, True, False, True]),
        "model": reward_folder(tmp_path / "m"),
    }
    rows, measured = scored(tmp_path / "out", inputs)

    assert [(r["tokens"], r["truncated"], r["cut"]) for r in rows] == [
        (4, False, False),
        (2, True, False),
        (13, False, False),
        (3, True, False),
    ]
    assert (measured["answers"], measured["truncated"], measured["cut"]) == (4, 2, 0)
    # <bos>, two tokens around each turn, and the words
    assert measured["tokens"] == sum(
        1 + sum(2 + len(m["content"].split()) for m in conversation(*item)) for item in ANSWERS.items()
    )


def test_an_answer_cannot_end_its_own_turn(tmp_path: Path) -> None:
    """ "<bos>" and "<system>" are words to the policy and tokens to the reward model; they are left out."""
    answers = {**ANSWERS, 0: "r <bos> s <system> t"}
    inputs = {**rollouts(tmp_path, answers), "model": reward_folder(tmp_path / "model")}
    rows, measured = scored(tmp_path / "out", inputs)

    assert rows[0]["reward"] == pytest.approx(
        of_pipeline(inputs["model"], [conversation(0, "r s t")])[0], abs=1e-5
    )
    assert measured["specials"] == 1


def test_special_tokens_that_others_hide_are_taken_out_too() -> None:
    assert reward_model.plain(reward_tokenizer(), "a <e<end>nd> b") == ("a  b", 2)
    assert reward_model.plain(reward_tokenizer(), "a <b> c") == ("a <b> c", 0)


@pytest.mark.parametrize("adds_bos", [True, False])
def test_there_is_one_bos_whoever_writes_it(tmp_path: Path, adds_bos: bool) -> None:
    judge = reward_model.load(reward_folder(tmp_path / "model", adds_bos=adds_bos), torch.float32)
    read = judge.input(conversation(7, "a"))

    assert [WORDS[i] for i in read.ids] == ["<bos>", "<user>", "q", "<end>", "<assistant>", "a", "<end>"]


def test_of_a_conversation_that_is_too_long_the_end_is_read_behind_the_bos(tmp_path: Path) -> None:
    model = reward_folder(tmp_path / "model", positions=14)
    inputs = {**rollouts(tmp_path, ANSWERS), "model": model}
    rows, measured = scored(tmp_path / "out", inputs)
    read = reward_model.load(model, torch.float32).input(conversation(3, ANSWERS[3]))

    assert [WORDS[i] for i in read.ids] == ["<bos>", *ANSWERS[3].split(), "<end>"]
    assert [r["cut"] for r in rows] == [False, False, True, False] and measured["cut"] == 1
    shorter, _ = scored(tmp_path / "shorter", inputs, max_length=8)
    assert [r["cut"] for r in shorter] == [True, True, True, False]


def test_a_conversation_is_cut_where_the_frequencies_would_change_for_its_batch(tmp_path: Path) -> None:
    """Up to there a reward does not depend on what is scored beside it."""
    model = reward_folder(tmp_path / "model")
    about = json.loads((model / "config.json").read_text())
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 14}
    about["rope_parameters"] = {**rope, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    (model / "config.json").write_text(json.dumps(about))
    rows, measured = scored(tmp_path / "out", {**rollouts(tmp_path, ANSWERS), "model": model})

    assert [r["cut"] for r in rows] == [False, False, True, False] and measured["cut"] == 1
    judge = reward_model.load(model, torch.float32)
    read = [judge.input(conversation(row, answer)).ids for row, answer in ANSWERS.items()]
    assert judge.score(read, 1000).rewards == pytest.approx(
        [judge.score([ids], 1000).rewards[0] for ids in read], abs=1e-5
    )


def test_a_conversation_that_the_template_refuses_has_no_reward_and_is_counted(tmp_path: Path) -> None:
    inputs = {**rollouts(tmp_path, ANSWERS), "model": reward_folder(tmp_path / "model")}
    refused = [{"role": "system", "content": "a"}, *PROMPTS[2]]
    lines = [{"row": row, "prompt": refused if row == 2 else prompt} for row, prompt in PROMPTS.items()]
    (inputs["pairs"] / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, measured = scored(tmp_path / "out", inputs)

    assert [r["reward"] is None for r in rows] == [False, True, False, False]
    assert measured["unrenderable"] == 1
    known = [r["reward"] for r in rows if r["reward"] is not None]
    assert measured["mean"] == pytest.approx(statistics.mean(known))
    assert rewards.read_rewards(tmp_path / "out")[2] is None


def test_a_folder_that_holds_no_reward_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds LlamaForCausalLM: a reward model is a \.\.\.ForSeq") as told:
        reward_model.load(tiny_folder(tmp_path / "lm"), torch.float32)
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="LlamaForSequenceClassification with 2 labels"):
        reward_model.load(reward_folder(tmp_path / "two", labels=2), torch.float32)

    lacking = reward_folder(tmp_path / "lacking")
    weights = load_file(lacking / "model.safetensors")
    save_file(
        {name: w for name, w in weights.items() if name != "score.weight"},
        lacking / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ValueError, match=r"lacking: score\.weight"):
        reward_model.load(lacking, torch.float32)


def test_a_reward_that_is_no_number_stops_the_step(tmp_path: Path) -> None:
    judge = reward_model.load(reward_folder(tmp_path / "model"), torch.float32)
    judge.model.get_input_embeddings().weight.data[9] = torch.nan
    assert judge.score([[8, 1]], 100)
    with pytest.raises(ValueError, match="1 of 2 rewards are NaN"):
        judge.score([[9, 1], [8, 1]], 100)


def test_a_win_is_a_higher_reward_a_tie_half_of_one_and_no_reward_is_neither() -> None:
    assert [rewards.won(a, 0.5) for a in (1.0, 0.5, 0.0, None)] == [1.0, 0.5, 0.0, None]
    assert rewards.won(1.0, None) is None


def test_two_answers_to_a_row_are_not_taken_for_one(tmp_path: Path) -> None:
    line = json.dumps({"row": 4, "reward": 1.0}) + "\n"
    (tmp_path / "rewards.jsonl").write_text(line * 2)
    with pytest.raises(ValueError, match="2 answers to 1 rows"):
        rewards.read_rewards(tmp_path)
