"""What training runs on: adapters, recomputed layers, fused and compiled arithmetic, scaled gradients."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

import methods
from harness.common.tokenizer import load_tokenizer
from harness.executors.options import Machine
from harness.models import loading, lora, memory, policy
from harness.plan import plan as planning
from harness.store.step import Step
from harness.train import accelerate_setup
from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.loop import Loop, set_up
from methods.api import LoRA
from tests import suites
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.harness.train.test_train import CONSTANT, CONTEXT, SETTINGS, equal, inputs, trained
from tests.methods.kernels.allocations import Made
from tests.paths import TINY

LORA = {"r": 4, "alpha": 8, "targets": "all-linear"}
WITH_LORA = {"training": {"lr": 3e-3, "epochs": 2, "batch_size": 6, "lora": LORA}}


def plan_of(*overrides: str) -> dict[str, Step]:
    found = planning.plan(suites.load(TINY, overrides), methods.registry(), Machine())
    return {s.label: s for s in found.steps if s.kind == TRAIN}


def gradients(given: dict[str, Path], out: Path, **context: Any) -> dict[str, Tensor]:
    """Of one optimizer step of DPO."""
    out.mkdir()
    told = {**SETTINGS, "hp": {"beta": 0.5}}
    work = TRAIN.work(told, given, out, {**CONTEXT, "method": "DPO", **context})
    loop, _ = set_up(work, given["start"])
    loop.gradient(range(6))
    return {n: p.grad for n, p in loop.policy.named_parameters() if p.grad is not None}


def test_adapters_alone_move_and_what_is_saved_says_what_the_adapted_model_says(tmp_path: Path) -> None:
    ids = torch.arange(4, 20)[None]
    model = loading.load(tiny_folder(tmp_path / "start"))
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    before = model(ids).logits
    lora.add(model, LoRA(**LORA), seed=3)
    torch.testing.assert_close(model(ids).logits, before, rtol=0, atol=0)

    moving = {name for name, p in model.named_parameters() if p.requires_grad}
    assert moving and all(".lora_" in name for name in moving)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        model(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in model.state_dict().items():
        plain = name.replace(".base_layer.", ".")
        assert ".lora_" in name or torch.equal(weight, start[plain]), name

    weights = lora.merged(model, model.state_dict())
    assert weights.keys() == start.keys()
    loading.save(model, load_tokenizer(tmp_path / "start"), tmp_path / "merged", weights)
    assert not torch.allclose(model(ids).logits, before, atol=1e-2)
    again = loading.load(tmp_path / "merged")
    torch.testing.assert_close(again(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)
    assert (tmp_path / "merged" / "config.json").read_text() == (
        tmp_path / "start" / "config.json"
    ).read_text()


def test_a_preference_stage_with_adapters_starts_at_ln_2_and_gives_a_plain_folder(tmp_path: Path) -> None:
    """Embeddings and norms stay; a checkpoint on the way is merged as the last one is."""
    given = inputs(tmp_path)
    weights = trained(tmp_path / "out", given, {**WITH_LORA, "checkpoints": 2})
    start = load_file(given["start"] / "model.safetensors")
    told = json.loads((tmp_path / "out" / "training.json").read_text())

    assert told["before"]["dpo"] == pytest.approx(0.693147, abs=1e-6) and told["after"]["dpo"] < 0.69
    assert weights.keys() == start.keys() and 0 < told["moved"] < 1
    moved = {name for name in start if not torch.equal(weights[name], start[name])}
    assert moved == {name for name in start if name.endswith("proj.weight")}
    assert equal(load_file(tmp_path / "out" / "checkpoints" / "2" / "model.safetensors"), weights)
    assert equal(weights, trained(tmp_path / "again", given, {**WITH_LORA, "checkpoints": 2}))


def test_the_parameters_and_operations_of_adapters_are_counted(tmp_path: Path) -> None:
    """Seven layers in each of two blocks: four of 16 x 16, three of 16 x 32, r = 4 on each side;
    the gradient of a frozen weight costs nothing.
    """
    given = inputs(tmp_path)
    (tmp_path / "out").mkdir()
    settings, context = {**SETTINGS, "hp": {"beta": 0.5}, **WITH_LORA}, {**CONTEXT, "method": "DPO"}
    found = train.run(TRAIN.work(settings, given, tmp_path / "out", context))
    of_adapters = 2 * 4 * (4 * (16 + 16) + 3 * (16 + 32))
    assert found["parameters"]["trained"] == of_adapters

    model = loading.load(given["start"])
    body, head = loading.parameters(model).values()
    assert loading.training_flops(model, 10, 5) == 6 * (body * 10 + head * 5)
    lora.add(model, LoRA(**LORA), seed=0)
    assert loading.training_flops(model, 10, 5) == 4 * (body * 10 + head * 5) + 6 * of_adapters * 10


def test_targets_that_no_layer_has_are_told(tmp_path: Path) -> None:
    settings = {"training": {**WITH_LORA["training"], "lora": {**LORA, "targets": ("q_prj",)}}}
    with pytest.raises(ValueError, match="q_prj"):
        trained(tmp_path / "out", inputs(tmp_path), settings)


def test_a_head_that_was_its_embedding_is_it_again_where_both_were_replaced(tmp_path: Path) -> None:
    """As accelerate replaces them in a model that FSDP loads into: on `meta` first, then by what was
    read.
    """
    budget = memory.memory_budget("auto", torch.device("cpu"))
    trained = policy.Policy(loading.load(tiny_folder(tmp_path / "model")), VOCAB, budget)
    weights = {name: weight.clone() for name, weight in trained.state_dict().items()}
    trained.to("meta").load_state_dict(weights, assign=True)
    embedding, head = trained.model.get_input_embeddings(), trained.model.get_output_embeddings()
    assert embedding.weight is not head.weight
    trained.tie_weights()
    assert embedding.weight is head.weight
    assert torch.equal(head.weight, weights["model.lm_head.weight"])


def test_a_tied_embedding_adds_its_rows_to_the_heads_gradient(tmp_path: Path) -> None:
    """The same gradients, and no other matrix of its size is made on the way."""
    given = inputs(tmp_path)
    size = loading.load(given["start"]).get_output_embeddings().weight.numel()
    with Made() as of_tied:
        together = gradients(given, tmp_path / "tied")
    with pytest.MonkeyPatch.context() as patch, Made() as of_apart:
        patch.setattr(policy, "tied", lambda model, head: nullcontext())
        apart = gradients(given, tmp_path / "apart")

    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-7)
    # Not the embedding's, and not its sum with the head's.
    assert of_tied.sizes.count(size) == of_apart.sizes.count(size) - 2


def test_an_embedding_has_its_gradient_where_the_head_has_none(tmp_path: Path) -> None:
    model, ids = loading.load(tiny_folder(tmp_path / "model")), torch.arange(4, 20)[None]
    embedding, found = model.get_input_embeddings(), []
    for within in (lambda model, head: nullcontext(), policy.tied):
        embedding.weight.grad = None
        with within(model, loading.head_of(model, VOCAB).shared(None)):
            states = loading.body(model, ids)
        states.square().sum().backward()
        found.append(embedding.weight.grad)
    assert torch.equal(*found) and found[0].abs().sum() > 0


def test_recomputed_layers_give_the_same_gradients_bit_for_bit(tmp_path: Path) -> None:
    """And keep fewer tensors for the backward pass."""
    given = inputs(tmp_path)
    kept = gradients(given, tmp_path / "kept")
    assert equal(kept, gradients(given, tmp_path / "recomputed", checkpointing=True))

    def saved(recompute: bool) -> int:
        model, sizes = loading.load(given["start"]), []
        if recompute:
            accelerate_setup.recompute_layers(model)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            loading.body(model, torch.arange(4, 20)[None])
        return sum(sizes)

    assert saved(True) < 0.5 * saved(False)


@pytest.mark.parametrize("recomputed", [False, True])
def test_what_waits_in_the_hosts_memory_comes_back_bit_for_bit(tmp_path: Path, recomputed: bool) -> None:
    """Of the body nothing is left on the device but weights; the head decides for itself what it keeps."""
    given = inputs(tmp_path)

    def saved(out: str, offload: bool) -> tuple[list[torch.Tensor], int]:
        seen: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
            found = gradients(given, tmp_path / out, checkpointing=recomputed, offload=offload)
        return found, sum(t.shape[-1] in (16, 32) for t in seen if t.dim() == 3)

    (kept, here), (back, left) = saved("kept", False), saved("offloaded", True)
    assert equal(kept, back) and here > left == 0
    weight = torch.nn.Parameter(torch.ones(3, 3))
    with memory.offloaded([weight]):
        node = (torch.ones(2, 3, requires_grad=True) @ weight.T).sin().grad_fn
    assert node.next_functions[0][0]._saved_mat2.data_ptr() == weight.data_ptr()


def test_the_fused_optimizer_learns_the_same_to_rounding(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    plain, fused = (
        trained(tmp_path / name, given, more) for name, more in (("a", {}), ("b", {"fused": True}))
    )
    for name, weight in plain.items():
        torch.testing.assert_close(fused[name], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_compiled_layers_learn_the_same_to_rounding(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    plain, found = (
        trained(tmp_path / name, given, more) for name, more in (("a", {}), ("b", {"compile": True}))
    )
    for name, weight in plain.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-5)


def test_float16_is_refused_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision: fp16 needs a GPU"):
        trained(tmp_path / "out", inputs(tmp_path), {"precision": "fp16"})


@pytest.fixture
def scaler(monkeypatch: pytest.MonkeyPatch) -> torch.amp.GradScaler:
    """What accelerate has of itself on a GPU: float16 autocast, with gradients that are scaled, at first by
    far too much.
    """
    plain, scaler = Accelerator.__init__, torch.amp.GradScaler("cpu", init_scale=2.0**30)

    def scaling(self: Accelerator, *args: Any, **settings: Any) -> None:
        plain(self, *args, **settings)
        self.native_amp, self.scaler = True, scaler

    monkeypatch.setattr(Accelerator, "__init__", scaling)
    return scaler


def test_float16_leaves_out_the_steps_that_overflow_and_counts_them(
    tmp_path: Path, scaler: torch.amp.GradScaler
) -> None:
    """The scale is halved until no gradient overflows; what is learned is what float32 learns, nearly."""
    given, training = inputs(tmp_path), {**CONSTANT, "epochs": 20}
    (tmp_path / "out").mkdir()
    settings = {**SETTINGS, "hp": {"beta": 0.5}, "precision": "fp16", "training": training}
    found = train.run(TRAIN.work(settings, given, tmp_path / "out", {**CONTEXT, "method": "DPO"}))

    assert 0 < found["skipped"] < 20 < found["steps"] == 40
    assert scaler.get_scale() == 2.0 ** (30 - found["skipped"])
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(w.dtype == torch.float32 and w.isfinite().all() for w in weights.values())
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    assert told["after"]["dpo"] < 0.1 < told["before"]["dpo"]


def test_a_gradient_that_no_scale_makes_finite_stops_the_step() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=0.5)
    scaler.scale(torch.ones(1))
    assert not accelerate_setup.overflowed(float("inf"), scaler)
    assert not accelerate_setup.overflowed(float("inf"), None)


def test_settings_that_are_not_asked_for_are_in_no_id_and_those_that_round_otherwise_are() -> None:
    plain = plan_of()
    assert all({"compile", "fused"}.isdisjoint(s.settings_record) for s in plain.values())
    assert all("lora" not in s.settings_record["training"] for s in plain.values())

    def changed(*overrides: str) -> set[str]:
        return {label for label, s in plan_of(*overrides).items() if s.id != plain[label].id}

    assert not changed("engine.checkpointing=true")
    assert plan_of("engine.checkpointing=true")["DPO"].context["checkpointing"] is True
    assert not changed("engine.offload=true")
    assert plan_of("engine.offload=true")["DPO"].context["offload"] is True
    assert not changed("engine.deterministic=true")
    assert plan_of("engine.deterministic=true")["DPO"].context["deterministic"] is True
    assert changed("engine.fused=true") == changed("engine.compile=true") == set(plain)
    assert changed("methods.SFT.training.lora.r=4") == {"SFT"}
    of_teacher = plan_of("pairs.tiny.teacher.dpo.lora={r: 8, targets: [q_proj, v_proj]}")
    told = of_teacher["dpo teacher"].settings_record["training"]["lora"]
    assert told == {"r": 8, "alpha": 32, "targets": ["q_proj", "v_proj"]}
    assert of_teacher["sft teacher"].id == plain["sft teacher"].id


def test_sums_in_one_order_are_asked_for_while_a_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU they are the same sums."""
    given, asked = inputs(tmp_path), []
    plain = trained(tmp_path / "plain", given, {})
    measure = Loop.measure
    monkeypatch.setattr(
        Loop, "measure", lambda *a: asked.append(torch.are_deterministic_algorithms_enabled()) or measure(*a)
    )
    ordered = trained(tmp_path / "ordered", given, {}, deterministic=True)
    assert asked == [True, True] and not torch.are_deterministic_algorithms_enabled()
    assert all(torch.equal(ordered[name], weight) for name, weight in plain.items())
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # since a model was loaded


def test_what_has_no_fixed_order_is_told_in_a_line() -> None:
    with (
        pytest.raises(ValueError, match=r"engine.deterministic: put_ .*determin"),
        accelerate_setup.deterministic(True),
    ):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    with pytest.raises(RuntimeError, match="size"), accelerate_setup.deterministic(True):
        torch.zeros(3) + torch.zeros(2)
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_processes_load_one_after_the_other(place: int) -> None:
    """The second of three waits once before its turn, and twice while the third has its own."""
    waits: list[str] = []
    three = SimpleNamespace(
        num_processes=3, local_process_index=place, wait_for_everyone=lambda: waits.append("wait")
    )
    with accelerate_setup.one_at_a_time(three):  # type: ignore[arg-type]
        waits.append("load")
    assert waits == ["wait"] * place + ["load"] + ["wait"] * (3 - place)
