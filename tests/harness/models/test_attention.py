"""Which kernels of attention a batch can go to: a mask that says no more than "causal" keeps flash away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from benchmarks.api import Sampling
from harness.models import loading, prefix_sharing
from harness.models.decoding.choice import decoding_of
from harness.models.decoding.rows import Request
from harness.models.generation import generate
from tests.harness.models.tiny_models import VOCAB, tiny_folder


class Attention(TorchFunctionMode):
    """What attention is asked for: whether there is a mask, and whether it is causal by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[tuple[bool, bool]] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            self.asked.add((kwargs["attn_mask"] is not None, kwargs["is_causal"]))
        return func(*args, **(kwargs or {}))


CAUSAL = {(False, True)}
HOW: dict[str, Any] = {"vocab": VOCAB, "batch": 8, "seed": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> loading.Model:
    return loading.load(tiny_folder(tmp_path_factory.mktemp("model") / "m"))


@contextmanager
def attention() -> Iterator[set[tuple[bool, bool]]]:
    with torch.no_grad(), Attention() as seen:
        yield seen.asked


def test_a_loaded_model_never_attends_by_cudnn(tmp_path: Path) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    loading.load(tiny_folder(tmp_path / "m"))
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_padded_batches_and_rows_that_share_prompts_attend_without_a_mask(model: loading.Model) -> None:
    sequences = [[1, 7, 8, 3, 2, 9], [1, 7, 8, 4], [1, 9, 3, 2]]
    rows = prefix_sharing.lay_out(sequences, [0, 0, 1], model.device)
    with attention() as asked:
        loading.body(model, torch.tensor([[1, 7, 8, 3], [1, 9, 0, 0]]))
    assert asked == CAUSAL
    assert prefix_sharing.prepare(model) is None
    with attention() as asked:
        prefix_sharing.states(model, rows)
    assert asked == CAUSAL


@pytest.mark.parametrize(
    ("lengths", "steps"),
    [([4, 4, 4], {(False, False)}), ([9], {(False, False)}), ([4, 9, 6], {(True, False)})],
)
def test_decoding_reads_prompts_without_a_mask_and_steps_without_one_where_rows_are_alike(
    model: loading.Model, lengths: list[int], steps: set[tuple[bool, bool]]
) -> None:
    asked = [Request([5] * n, Sampling(0.0, 1.0, 6), str(n)) for n in lengths]
    decoding_of(model)  # its trial attends, too
    with attention() as first:
        generate(model, [r._replace(sampling=Sampling(0.0, 1.0, 1)) for r in asked], [], **HOW)
    assert first == CAUSAL
    with attention() as all_of_it:
        generate(model, asked, [], **HOW)
    assert all_of_it == CAUSAL | steps
