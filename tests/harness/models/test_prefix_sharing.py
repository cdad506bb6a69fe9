"""Shared rows: what sequences begin with alike is computed once, and nothing that is learned knows of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import methods
from harness.data import token_sequences
from harness.models import prefix_sharing
from harness.models.loading import Model, body, load
from harness.models.policy import Policy
from harness.models.prefix_sharing import alike, distinct, lay_out
from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.examples import Examples
from harness.train.loop import set_up
from methods.api import Method
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.train.test_train import CONTEXT, SETTINGS, equal, inputs, preferences
from tests.methods.kernels.memory_budgets import small_budget
from tests.methods.synthetic import (
    EVERYTHING,
    GROUP,
    VIEWS,
    VOCAB,
    Gradient,
    World,
    assert_same_gradient,
    case_id,
    computations,
    gradient_of,
    policy_for,
    rounding,
    step_of,
    supports,
    world,
    written,
)

CPU = torch.device("cpu")
WINDOW = 3  # tokens, less than the sequences have
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ALIBI = {"vocab_size": 64, "hidden_size": 32, "n_layer": 1, "n_head": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "Llama": lambda: transformers.LlamaConfig(**SMALL),
    "Mistral, all layers with a window": lambda: transformers.MistralConfig(**SMALL, sliding_window=WINDOW),
    "Gemma-2, soft-cap, every other layer with a window": lambda: transformers.Gemma2Config(
        **SMALL, sliding_window=WINDOW, attn_logit_softcapping=2.0
    ),
    "Qwen2, the last layer with a window": lambda: transformers.Qwen2Config(
        **SMALL, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "Qwen3": lambda: transformers.Qwen3Config(**SMALL),
    "GPT-2, learned positions": lambda: transformers.GPT2Config(
        vocab_size=64, n_embd=32, n_layer=2, n_head=2
    ),
}
METHODS = ("SFT", "DPO", "ADPA", "DCKD", "PAD[VPD]", "DPPO[token]")
CASES = [
    *((config, METHODS) for config in CONFIGS if not config.startswith(("Qwen2", "GPT"))),
    *((config, ("DPO", "PAD[VPD]")) for config in CONFIGS if config.startswith(("Qwen2", "GPT"))),
]


def model_of(config: Any) -> Model:
    """A random model in float32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def with_one_prompt(data: World) -> World:
    """The world with the prompts of `chosen` everywhere but in `mismatched`; as much of each rejected
    response as there is room for is the chosen one's, and of the group's first two.
    """
    prompts = dict(data.prompts)
    for view in VIEWS:
        if view != "mismatched":
            copies = GROUP if view == "group" else 1
            prompts[view] = [p for p in data.prompts["chosen"] for _ in range(copies)]
    answers = {view: [list(a) for a in told] for view, told in data.answers.items()}
    for i in EVERYTHING:
        for ours, theirs in (
            (answers["chosen"][i], answers["rejected"][i]),
            (answers["group"][GROUP * i], answers["group"][GROUP * i + 1]),
        ):
            common = min(len(ours), len(theirs))
            theirs[:common] = ours[:common]
    return replace(data, prompts=prompts, answers=answers)


def both(
    method: Method, hp: Any, policy: Policy, examples: Examples, parts: list[list[int]]
) -> list[tuple[dict[str, Tensor], Gradient]]:
    """Terms and gradient of a step of padded batches, and of the same step over shared rows."""
    assert prefix_sharing.prepare(policy.model) is None
    shared = replace(examples, share=True)
    assert shared.rows(EVERYTHING) is not None
    assert shared.positions(EVERYTHING) < shared.padded(EVERYTHING)
    return [step_of(method, hp, policy, e, parts) for e in (examples, shared)]


@pytest.mark.parametrize("config, names", CASES, ids=[config for config, _ in CASES])
def test_losses_and_gradients_are_those_of_padded_batches(
    config: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    """In float32, over windows that are shorter than the sequences, and in micro-batches."""
    for method in (methods.registry()[name] for name in names):
        hp = method.hparams
        needs = method.needs(hp)
        valued = any("policy" in reads.values for reads in needs.views.values())
        policy = Policy(model_of(CONFIGS[config]()), VOCAB, small_budget(5, VOCAB, recompute=True), valued)
        examples = written(with_one_prompt(world()), tmp_path / method.formula, needs)
        parts = [[5, 0, 3], [1], [7, 2, 4, 6]]
        (terms, gradient), (ours, our_gradient) = both(method, hp, policy, examples, parts)
        for name, value in terms.items():
            assert float(ours[name]) == pytest.approx(float(value), rel=1e-5, abs=1e-6), method.name
        assert_same_gradient(our_gradient, gradient, 1e-5 * max(1, rounding(hp) / 1e-6))


@pytest.mark.slow
@pytest.mark.parametrize("method, hp", computations(supports), ids=lambda x: getattr(x, "name", ""))
def test_every_computation_is_the_same_over_shared_rows(method: Method, hp: Any, tmp_path: Path) -> None:
    """In float64 but for what runs over the vocabulary."""
    examples = written(with_one_prompt(world()), tmp_path, method.needs(hp))
    (terms, gradient), (ours, our_gradient) = both(
        method, hp, policy_for(method, hp), examples, [EVERYTHING[:5], EVERYTHING[5:]]
    )
    for name, value in terms.items():
        assert float(ours[name]) == pytest.approx(float(value), rel=1e-6, abs=1e-7), case_id(method, hp)
    assert_same_gradient(our_gradient, gradient, rounding(hp))


def test_any_split_of_a_step_into_rows_gives_one_gradient(tmp_path: Path) -> None:
    method = methods.registry()["DCKD"]
    examples = written(with_one_prompt(world()), tmp_path, method.needs(method.hparams))
    policy = policy_for(method, method.hparams)
    assert prefix_sharing.prepare(policy.model) is None
    shared = replace(examples, share=True)
    found = [
        step_of(method, method.hparams, policy, shared, parts)
        for parts in ([EVERYTHING], [EVERYTHING[:3], EVERYTHING[3:]], [[i] for i in EVERYTHING])
    ]
    for terms, gradient in found[1:]:
        assert {n: float(x) for n, x in terms.items()} == pytest.approx(
            {n: float(x) for n, x in found[0][0].items()}, rel=1e-6
        )
        assert_same_gradient(gradient, found[0][1], 1e-6)


# The row itself


def test_a_row_by_hand() -> None:
    """The docstring's: two sequences of one example that part after three tokens, and one of another."""
    rows = lay_out([[1, 2, 3, 4, 5, 0], [1, 2, 3, 6, 0], [7, 8, 0]], [0, 0, 1], CPU)
    assert rows.ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert rows.positions.tolist() == [[0, 1, 2, 3, 4, 3, 0, 1]]
    assert rows.places.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 5, 0], [6, 7, 0, 0, 0]]
    assert rows.first.tolist() == [0, 1, 2, 3, 4, 8, 10, 11]


def test_only_sequences_of_one_example_share() -> None:
    assert lay_out([[1, 2, 0], [1, 2, 0]], [0, 0], CPU).ids.tolist() == [[1, 2]]
    assert lay_out([[1, 2, 0], [1, 2, 0]], [0, 1], CPU).ids.tolist() == [[1, 2, 1, 2]]


def test_every_token_finds_itself_and_no_beginning_is_there_twice() -> None:
    """Random sequences of two tokens: equal ones, one that begins another, prompts of one token."""
    draw = Random(0)
    for _ in range(300):
        owners = [draw.randrange(3) for _ in range(draw.randrange(1, 9))]
        given = [[draw.randrange(2) for _ in range(draw.randrange(2, 8))] for _ in owners]
        rows = lay_out(given, owners, CPU)
        for s, ids in enumerate(given):
            at = rows.places[s, : len(ids) - 1]
            assert rows.ids[0, at].tolist() == ids[:-1]
            assert rows.positions[0, at].tolist() == list(range(len(ids) - 1))
        assert rows.places.flatten()[rows.first].tolist() == list(range(rows.ids.shape[1]))
        beginnings = {
            (owner, tuple(ids[:n]))
            for owner, ids in zip(owners, given, strict=True)
            for n in range(1, len(ids))
        }
        assert rows.ids.shape[1] == len(beginnings)
        by_owner = [[s for s, o in zip(given, owners, strict=True) if o == owner] for owner in set(owners)]
        assert sum(map(distinct, by_owner)) == len(beginnings)


def test_sequences_are_alike_up_to_where_they_part() -> None:
    assert [alike(a, b) for a, b in (([1, 2], [1, 2, 3]), ([1, 2], [1, 3]), ([1], [2]), ([], [1]))] == [
        2,
        1,
        0,
        0,
    ]


def test_examples_that_share_next_to_nothing_are_better_padded(tmp_path: Path) -> None:
    """Two of equal length and other tokens: their row has 2 x 29 of 60 positions."""
    given = ([*range(30)], [*range(30, 60)], [*range(60, 66)])
    token_sequences.write(
        tmp_path / "s", [token_sequences.response(i, s[:2], s[2:]) for i, s in enumerate(given)]
    )
    needs = methods.registry()["SFT"].needs(methods.registry()["SFT"].hparams)
    view = token_sequences.Sequences(tmp_path / "s")
    examples = Examples(
        needs, {"chosen": view}, {"chosen": torch.arange(3)[:, None].numpy()}, {}, CPU, share=True
    )
    assert (examples.positions([0, 1]), examples.rows([0, 1])) == (60, None)
    assert (examples.positions([0, 2]), examples.padded([0, 2])) == (29 + 5, 60)
    assert examples.rows([0, 2]) is not None and replace(examples, share=False).rows([0, 2]) is None
    assert examples.micro_batches([0, 1, 2], 40) == [[2, 0], [1]]
    assert replace(examples, share=False).micro_batches([0, 1, 2], 60) == [[2, 0], [1]]


# Which models


@pytest.mark.parametrize(
    "config, reason",
    [
        (transformers.BloomConfig(**ALIBI), "BloomForCausalLM has an attention of its own"),
        (transformers.MptConfig(vocab_size=64, d_model=32, n_layers=1, n_heads=2), "MptForCausalLM has"),
        (
            transformers.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1),
            "MambaForCausalLM has lay",
        ),
        (transformers.LlamaConfig(**SMALL, attn_implementation="flex_attention"), "flex_attention"),
    ],
    ids=["ALiBi", "ALiBi too", "recurrent", "another attention"],
)
def test_a_model_that_cannot_share_is_refused_by_name_and_left_as_it_was(config: Any, reason: str) -> None:
    model = model_of(config)
    before = model.config._attn_implementation
    refused = prefix_sharing.prepare(model)
    assert refused is not None and reason in refused
    assert model.config._attn_implementation == before


def test_a_model_whose_states_do_not_follow_position_ids_is_found_out() -> None:
    """Each position is where it stands in the row, whatever it is told."""
    model = model_of(CONFIGS["Llama"]())
    turn = model.base_model.rotary_emb.forward
    model.base_model.rotary_emb.forward = lambda x, position_ids: turn(x, torch.arange(x.shape[1])[None])
    assert prefix_sharing.prepare(model) == "LlamaForCausalLM says other things over shared rows"
    assert model.config._attn_implementation == "sdpa"


def test_padded_batches_generation_and_the_saved_folder_know_nothing_of_it(tmp_path: Path) -> None:
    model, ids = model_of(CONFIGS["Qwen2, the last layer with a window"]()), torch.arange(3, 23).view(2, 10)
    before = body(model, ids), model.generate(ids, max_new_tokens=5, do_sample=False)
    model.save_pretrained(tmp_path / "before")
    assert prefix_sharing.prepare(model) is None
    assert torch.equal(body(model, ids), before[0])
    assert torch.equal(model.generate(ids, max_new_tokens=5, do_sample=False), before[1])
    model.save_pretrained(tmp_path / "after")
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (tmp_path / "after" / file.name).read_bytes()


def test_under_autocast_rows_say_what_padded_batches_say() -> None:
    model = model_of(CONFIGS["Gemma-2, soft-cap, every other layer with a window"]())
    assert prefix_sharing.prepare(model) is None
    given = [[5, 6, 7, 8, 9, 10, 11], [5, 6, 7, 12, 13]]
    rows = lay_out(given, [0, 0], CPU)
    exact = prefix_sharing.states(model, rows)
    with torch.autocast("cpu", torch.bfloat16):
        states = prefix_sharing.states(model, rows)[rows.places]
        for s, ids in zip(states, given, strict=True):
            torch.testing.assert_close(
                s[: len(ids) - 1], body(model, torch.tensor([ids[:-1]]))[0], rtol=0.1, atol=0.1
            )
    assert not torch.equal(states, exact[rows.places])


# Training


def test_a_training_step_tells_how_many_positions_it_computed(tmp_path: Path) -> None:
    """Two epochs over twelve pairs in whole batches; rejected are chosen ones that end otherwise."""
    given = {"start": tiny_folder(tmp_path / "start"), **preferences(tmp_path)}
    chosen = token_sequences.Sequences(tmp_path / "chosen")
    pairs = [(chosen[i], chosen.prompt(i)) for i in range(len(chosen))]
    other = [token_sequences.response(s.row, prompt, [*s.ids[len(prompt) :], 3]) for s, prompt in pairs]
    token_sequences.write(tmp_path / "other", other)
    given["view.rejected"] = tmp_path / "other"
    settings = {**SETTINGS, "hp": {}, "training": {"lr": 1e-3, "epochs": 2, "batch_size": 12}}
    (out := tmp_path / "out").mkdir()
    measured = train.run(TRAIN.work(settings, given, out, {**CONTEXT, "method": "ORPO"}))

    lengths = [len(s.ids) for s, _ in pairs]
    assert measured["sharing"] == "shared" and measured["padding_share"] == 0
    assert measured["positions"] == 2 * sum(
        lengths
    )  # of a rejected one all but the last, which is chosen's too
    assert measured["padded_positions"] == 2 * 2 * 12 * (max(lengths) + 1)
    assert measured["tokens"] == 2 * sum(2 * n + 1 for n in lengths)


def test_a_step_of_the_loop_is_that_of_padded_batches_and_the_same_twice(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    work = TRAIN.work(
        {**SETTINGS, "hp": {"beta": 0.5}}, given, tmp_path, {**CONTEXT, "method": "DPO", "tokens": 90}
    )
    loop, _ = set_up(work, given["start"])
    step = list(range(len(loop.examples)))
    assert len(loop.micro_batches(step)) > 1

    found = []
    for examples in (loop.examples, loop.examples, replace(loop.examples, share=False)):
        loop.policy.zero_grad()
        terms = replace(loop, examples=examples).gradient(step)
        found.append((terms, gradient_of(loop.policy)))
    (one, ours), (two, again), (padded, theirs) = found
    assert one == two and equal(ours, again)
    assert one == pytest.approx(padded, rel=1e-6)
    assert_same_gradient(ours, theirs, 1e-5)


def test_a_model_that_cannot_share_trains_on_padded_batches_and_says_why(tmp_path: Path) -> None:
    given = {"start": tiny_folder(tmp_path / "start"), **preferences(tmp_path)}
    told = load(given["start"]).config.vocab_size
    config = transformers.BloomConfig(**{**ALIBI, "vocab_size": told})
    model_of(config).save_pretrained(tmp_path / "start")
    (out := tmp_path / "out").mkdir()
    settings = {**SETTINGS, "hp": {}, "training": {"lr": 1e-3, "batch_size": 12}}
    measured = train.run(TRAIN.work(settings, given, out, {**CONTEXT, "method": "ORPO"}))
    assert measured["sharing"] == "padded: BloomForCausalLM has an attention of its own"
    assert measured["positions"] == measured["padded_positions"]
    assert measured["padding_share"] == pytest.approx(1 - measured["tokens"] / measured["positions"])
