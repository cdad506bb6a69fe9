"""Rollouts of the policy while it trains, and the four forms of a teacher's signal that must agree."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

import methods
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.models.loading import head_of, load
from harness.signals import stored as signals
from harness.signals.kinds import SIGNALS
from harness.signals.live import Frozen, Live
from harness.signals.stored import Signals
from harness.train import examples as data
from harness.train.costs import TRAIN, TrainInputs
from harness.train.examples import TrainWork
from harness.train.loop import Loop, set_up
from methods.formulas import kl, teacher_kl
from methods.kernels.token_statistics import Hidden, TopK, token_statistics
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.harness.signals.test_signals import dense, sequence_set, stored
from tests.methods.kernels.memory_budgets import small_budget

DPPO = methods.registry()["DPPO[token]"]
SETTINGS: dict[str, Any] = {
    "formula": DPPO.formula,
    "hp": {},
    "seed": 0,
    "precision": "no",
    "max_tokens": 5,
    "template": None,
    "teacher_dtype": "float32",
}
CONTEXT = {"device": "cpu", "tokens": 64, "batch": 4, "method_file": None}


def work_of(folder: Path, method: str = "DPPO[token]", **hp: Any) -> TrainWork:
    """An online method on ten prompts, with teachers of their own."""
    folder.mkdir(exist_ok=True)
    inputs = {"start": tiny_folder(folder / "start"), "live.ref": folder / "start"}
    for seed, role in enumerate(("teacher", "teacher_ref"), 1):
        inputs[f"live.{role}"] = tiny_folder(folder / role, hidden=24, seed=seed)
    draw = torch.Generator().manual_seed(0)
    rows = []
    for row in range(10):
        ids = torch.randint(4, VOCAB, (3 + row % 4,), generator=draw).tolist()
        rows.append(token_sequences.response(row, ids, [3]))
    token_sequences.write(folder / "prompts", rows)
    inputs["view.policy_rollout"] = inputs["view.chosen"] = folder / "prompts"
    (folder / "out").mkdir()
    entry = methods.registry()[method]
    recipe = entry.needs(type(entry.hparams)(**hp)).online
    settings = {**SETTINGS, "hp": hp, "passes": recipe.passes}
    return TRAIN.work(settings, inputs, folder / "out", {**CONTEXT, "method": method})


def loop_of(folder: Path, method: str = "DPPO[token]", **hp: Any) -> Loop:
    work = work_of(folder, method, **hp)
    return set_up(work, work.inputs.start)[0]


def drawn(loop: Loop, examples: list[int], name: str) -> list[list[int]]:
    assert loop.sampler
    with loop.sampler.draw(loop.examples, examples, name) as buffer:
        view = buffer.views["policy_rollout"]
        return [view[i].ids for i in range(len(view))]


def test_a_buffer_is_gone_through_as_often_as_asked_and_then_drawn_again(tmp_path: Path) -> None:
    """Two steps' prompts at a time, three passes: 6 steps of the first draw, then 6 of the second."""
    loop = loop_of(tmp_path, batches=2, passes=3)
    assert loop.sampler
    order = iter([[0, 1], [2, 3, 4], [5, 6], [7]])
    seen: list[tuple[int, list[int], list[int]]] = []
    for buffer, step in loop.sampler.buffers(loop.examples, order):
        prompts = buffer.views["policy_rollout"]
        of = [len(prompts.prompt(int(buffer.indices["policy_rollout"][e, 0]))) for e in step]
        seen.append((id(buffer), step, of))
    lengths = [3 + row % 4 for row in range(10)]
    assert [step for _, step, _ in seen] == [[0, 1], [2, 3, 4]] * 3 + [[0, 1], [2]] * 3
    assert [of for _, _, of in seen][:2] == [lengths[0:2], lengths[2:5]]
    assert [of for _, _, of in seen][6:8] == [lengths[5:7], lengths[7:8]]
    with loop.sampler.draw(loop.examples, [0, 1], "measure"):
        assert loop.sampler.drawn == 8, "what only measures is none to learn from"
    assert not list((tmp_path / "out").iterdir()), "a buffer was left behind"


def test_one_seed_draws_the_same_rollouts_and_another_draw_others(tmp_path: Path) -> None:
    loop = loop_of(tmp_path)
    first = drawn(loop, [0, 1, 2], "0")
    assert drawn(loop, [0, 1, 2], "0") == first
    assert drawn(loop, [0, 1, 2], "1") != first


def test_rollouts_are_of_the_policy_as_it_is_now(tmp_path: Path) -> None:
    """The same draw of another policy, of one that finds all tokens equally likely, is another."""
    loop = loop_of(tmp_path)
    before = drawn(loop, [0, 1], "0")
    with torch.no_grad():
        loop.policy.model.model.norm.weight.zero_()
        loop.policy.model.lm_head.weight.zero_()
    flat = drawn(loop, [0, 1], "0")
    assert flat != before


def test_what_the_policy_said_at_the_draw_is_kept_while_it_moves(tmp_path: Path) -> None:
    """Role `old` is the policy at the draw, log-probs and values; afterwards only the policy moves."""
    loop = loop_of(tmp_path)
    assert loop.sampler and loop.policy.value is not None
    torch.nn.init.normal_(loop.policy.value.weight)
    part = [0, 1, 2]
    with ExitStack() as stack, torch.no_grad():
        buffer = stack.enter_context(loop.sampler.draw(loop.examples, part, "0"))
        before = buffer.batch(part, loop.policy(buffer.inputs(part), loop.hp), part).policy_rollout
        for role_of in (before.logps, before.values):
            torch.testing.assert_close(role_of("old"), role_of("policy"), rtol=1e-5, atol=1e-6)
        loop.policy.model.lm_head.weight.mul_(1.5)
        loop.policy.value.weight.mul_(1.5)
        after = buffer.batch(part, loop.policy(buffer.inputs(part), loop.hp), part).policy_rollout
    torch.testing.assert_close(after.logps("old"), before.logps("old"))
    torch.testing.assert_close(after.values("old"), before.values("old"))
    assert not torch.allclose(after.logps("policy"), before.logps("policy"))
    assert not torch.allclose(after.values("policy"), before.values("policy"))


def test_a_method_on_its_own_rollouts_reads_stored_signals_elsewhere(tmp_path: Path) -> None:
    """GKD's chosen responses have a folder of signals, its rollouts a live teacher."""
    loop = loop_of(tmp_path, "GKD")
    kinds = {view: type(told).__name__ for (view, _), told in loop.examples.signals.items()}
    assert kinds == {"chosen": "Live", "policy_rollout": "Live"}
    found = stored(tmp_path / "stored", tmp_path / "teacher", tmp_path / "prompts", form="hidden")
    frozen = {"teacher": next(t.frozen for t in loop.examples.signals.values() if isinstance(t, Live))}
    views = {view: tmp_path / "prompts" for view in loop.examples.views}
    inputs = TrainInputs(tmp_path / "start", views, signals={("chosen", "teacher"): found})
    again = data.load(loop.examples.needs, inputs, torch.device("cpu"), frozen, loop.policy.vocab)
    kinds = {view: type(told).__name__ for (view, _), told in again.signals.items()}
    assert kinds == {"chosen": "Signals", "policy_rollout": "Live"}


# The forms of a teacher's signal


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequences, Path]:
    """A folder, sequences, and a model that is asked about them."""
    folder = tmp_path_factory.mktemp("forms")
    return folder, sequence_set(folder / "sequences"), tiny_folder(folder / "model", seed=4)


def forms(folder: Path, found: Sequences, model: Path, k: int) -> Iterator[tuple[str, Any]]:
    at = folder / f"forms{k}"
    at.mkdir()
    hidden = stored(at / "hidden", model, folder / "sequences", form="hidden")
    top = stored(at / "topk", model, folder / "sequences", form="topk", k=k)
    loaded = load(model).requires_grad_(False)
    head = head_of(loaded, VOCAB)
    yield "hidden", Signals(hidden, found, head)
    yield "topk", Signals(top, found, None)
    yield "live", Live(Frozen(loaded, head), found)
    yield "live topk", Live(Frozen(loaded, head), found, k)


BATCH = [4, 0, 6, 2]


def forward_kl(told: Any, tokens: torch.Tensor, k: int | None = None) -> torch.Tensor:
    """KL of the teacher to one fixed policy at each response token of BATCH."""
    policy = 2 * torch.randn(len(tokens), 16, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(VOCAB, 16, generator=torch.Generator().manual_seed(2))
    from methods.kernels.token_statistics import Head

    signal = told.distributions(BATCH, torch.device("cpu"), None)
    assert isinstance(signal, TopK if k else Hidden)
    args = (policy, Head(weight, None, VOCAB), tokens, [teacher_kl], {"teacher": signal}, None)
    return token_statistics(*args, small_budget(5, VOCAB, recompute=False))[1][teacher_kl]


def test_every_form_of_a_teacher_says_the_same(teacher: tuple[Path, Sequences, Path]) -> None:
    """hidden, topk at k = V, live, live topk: log-probs and a KL, to float precision, as dense ones are."""
    folder, found, model = teacher
    tokens = torch.tensor([t for i in BATCH for t, m in zip(found[i].ids, found[i].mask, strict=True) if m])
    whole = dense(model, found)
    realised = torch.cat([whole[i] for i in BATCH]).gather(-1, tokens[:, None])[:, 0]
    weight = torch.randn(VOCAB, 16, generator=torch.Generator().manual_seed(2))
    policy = 2 * torch.randn(len(tokens), 16, generator=torch.Generator().manual_seed(1))
    expected = kl(torch.cat([whole[i] for i in BATCH]), (policy @ weight.T).log_softmax(-1))
    for name, told in forms(folder, found, model, VOCAB):
        torch.testing.assert_close(told.logps(BATCH), realised, rtol=1e-5, atol=1e-5, msg=name)
        k = VOCAB if "topk" in name else None
        torch.testing.assert_close(forward_kl(told, tokens, k), expected, rtol=1e-4, atol=1e-5, msg=name)


def test_a_support_loses_no_more_than_the_mass_it_leaves_out(teacher: tuple[Path, Sequences, Path]) -> None:
    """The bucketed KL is short of the full one by sum_rest t log(t/s) - T log(T/S) <= T max_rest log(t/s) - T
    log(T/S), T the mass that the record tells.
    """
    folder, found, model = teacher
    tokens = torch.tensor([t for i in BATCH for t, m in zip(found[i].ids, found[i].mask, strict=True) if m])
    told = dict(forms(folder, found, model, 5))
    full, few = forward_kl(told["live"], tokens), forward_kl(told["topk"], tokens, 5)
    torch.testing.assert_close(forward_kl(told["live topk"], tokens, 5), few, rtol=1e-5, atol=1e-5)
    signal = told["topk"].distributions(BATCH, torch.device("cpu"), None)
    cut = signal.rest.exp()
    weight = torch.randn(VOCAB, 16, generator=torch.Generator().manual_seed(2))
    policy = 2 * torch.randn(len(tokens), 16, generator=torch.Generator().manual_seed(1))
    student = (policy @ weight.T).log_softmax(-1)
    whole = torch.cat([dense(model, found)[i] for i in BATCH])
    outside = torch.ones_like(whole).scatter(-1, signal.ids, 0).bool()
    largest = (whole - student).masked_fill(~outside, -torch.inf).amax(-1)
    left = student.exp().where(outside, 0).sum(-1)
    bound = cut * (largest - (cut / left).log())
    assert (few <= full + 1e-5).all() and (full - few <= bound + 1e-5).all()


def test_the_mass_that_is_cut_is_what_the_record_tells(teacher: tuple[Path, Sequences, Path]) -> None:
    folder, found, model = teacher
    told = dict(forms(folder, found, model, 4))["topk"]
    every = list(range(len(found)))
    mean = float(told.distributions(every, torch.device("cpu"), None).rest.exp().mean())
    (folder / "again").mkdir()
    settings = {"form": "topk", "k": 4, "dtype": "float32"}
    inputs = {"model": model, "sequences": folder / "sequences"}
    context = {"device": "cpu", "tokens": 64}
    measured = signals.run(SIGNALS.work(settings, inputs, folder / "again", context))
    assert measured["cut_mass"] == pytest.approx(mean, rel=1e-5) and 0 < mean < 1


def test_a_frozen_model_counts_what_it_was_run_over(teacher: tuple[Path, Sequences, Path]) -> None:
    """Log-probs of a sequence are computed once, distributions at every step."""
    _, found, model = teacher
    loaded = load(model)
    frozen = Frozen(loaded, head_of(loaded, VOCAB))
    live = Live(frozen, found)
    live.logps([1, 2])
    live.logps([2, 1])
    once = int(found.lengths[[1, 2]].sum())
    assert frozen.tokens == once
    live.distributions([1], torch.device("cpu"), None)
    assert frozen.tokens == once + int(found.lengths[1])
