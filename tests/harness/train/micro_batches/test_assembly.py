"""What a GPU would wait for: nothing inside a micro-batch asks the device a question."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import masking_utils

from harness.models import policy, prefix_sharing
from harness.models.policy import Inputs
from harness.train.micro_batches import assembly
from harness.train.micro_batches.assembly import Ahead, Assembled
from methods.api import Method
from methods.kernels.token_statistics import TopK
from tests.harness.train.test_online import loop_of
from tests.methods.synthetic import EVERYTHING, policy_for
from tests.methods.test_registry import every_case, examples_of, result

# Each ends on the host: a number, or how many places a mask has.
ASKED = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "item")


class NoQuestion(TorchDispatchMode):
    """Fails where an operation would make the process wait for a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_", "_index_put_impl_") else ()
        masks = [i for i in indices if i is not None and i.dtype in (torch.bool, torch.uint8)]
        assert not masks and not name.startswith(ASKED), f"{func} makes the process wait for the device"
        return func(*args, **(kwargs or {}))


@every_case
def test_a_micro_batch_asks_the_device_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    """Every method's forward and backward pass, over a row or a padded batch."""
    trained, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    assert prefix_sharing.prepare(trained.model) is None
    examples = replace(examples, share=len(method.name) % 2 == 0)
    given, stored = examples.assembled(EVERYTHING), examples.stored(EVERYTHING)
    with NoQuestion():
        batch = examples.batch(EVERYTHING, trained(given.inputs, hp, given.rows), EVERYTHING)
        result(method, hp, trained, batch, stored)


def test_a_live_model_asks_the_device_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But once a pass, whether its sequences are packed: transformers does so where it makes the masks."""
    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", lambda position_ids: None)
    monkeypatch.setattr(policy, "tied", lambda model, head: nullcontext())  # which is for CPUs
    loop = loop_of(tmp_path, "GKD")
    assert loop.sampler
    with loop.sampler.draw(loop.examples, range(4), "x") as buffer, NoQuestion():
        scored = loop.policy(buffer.inputs(range(4)), loop.hp)
        sum(loop.method.loss(buffer.batch(range(4), scored, range(4)), loop.hp).values()).backward()


class Counted:
    """Examples of a GPU, which count where and when they are assembled."""

    device = torch.device("cuda")

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], bool]] = []

    def assembled(self, examples: Sequence[int]) -> Assembled:
        self.asked.append((list(examples), threading.current_thread() is threading.main_thread()))
        ids = torch.tensor([examples])
        topk = {role: TopK(ids, ids.float(), ids.float()) for role in ("teacher", "teacher_ref")}
        return Assembled([Inputs(ids, ids > 0, ids[0], topk, ())], None)


def test_a_gpu_has_its_next_micro_batch_pinned_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pinned, main = [], threading.main_thread()
    monkeypatch.setattr(Tensor, "pin_memory", lambda x: pinned.append(threading.current_thread()) or x)
    source, ahead = Counted(), Ahead()
    monkeypatch.setattr(assembly, "sent", lambda x, device: x.to("meta"))
    ahead.take(source, [1, 2])
    ahead.begin(source, [3, 4])
    (view,) = ahead.take(source, [3, 4]).inputs
    other = ahead.take(Counted(), [3, 4])
    assert source.asked == [([1, 2], True), ([3, 4], False)]
    assert pinned[:7] == [main] * 7 and main not in pinned[7:14]
    teacher, of_ref = view.signals["teacher"], view.signals["teacher_ref"]
    assert isinstance(teacher, TopK) and isinstance(of_ref, TopK) and teacher.ids is of_ref.ids is view.ids
    assert view.ids.device.type == other.inputs[0].mask.device.type == "meta"


def test_what_was_begun_and_is_not_asked_for_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-batches that became smaller: those that a thread has made are none of the step's any more."""
    monkeypatch.setattr(Tensor, "pin_memory", lambda x: x)
    source, ahead = Counted(), Ahead()
    ahead.begin(source, [1, 2, 3, 4])
    monkeypatch.setattr(assembly, "sent", lambda x, device: x)
    ahead.take(source, [1, 2])
    assert not ahead._begun


def test_a_cpu_assembles_nothing_beside(tmp_path: Path) -> None:
    source, ahead = Counted(), Ahead()
    source.device = torch.device("cpu")
    ahead.begin(source, [1])
    assert not source.asked
