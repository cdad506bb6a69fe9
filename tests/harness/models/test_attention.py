"""Which kernels of attention a batch can go to: a mask that says no more than "causal" keeps flash away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from harness.models import loading, prefix_sharing
from tests.harness.models.tiny_models import tiny_folder


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
