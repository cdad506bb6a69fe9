"""What cases need that no line of text can hold: each function makes it in the folder of its case."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from safetensors.torch import load_file, save_file

from tests.harness.models.tiny_models import tiny_folder

UP = "model.layers.0.mlp.up_proj.weight"


def folder_as_suite(folder: Path) -> None:
    """suite.yaml is a folder."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    (folder / "suite.yaml").mkdir()


def dangling_suite(folder: Path) -> None:
    """suite.yaml is a link to nothing."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    (folder / "suite.yaml").symlink_to(folder / "gone.yaml")


def pipe_as_suite(folder: Path) -> None:
    """suite.yaml is a pipe that nobody writes to."""
    (folder / "suite.yaml").unlink(missing_ok=True)
    os.mkfifo(folder / "suite.yaml")


@cache
def _model() -> Path:
    return tiny_folder(Path(mkdtemp(prefix="fuzz-")) / "m")


def model(folder: Path) -> None:
    """m: a random Llama of a whole folder."""
    shutil.copytree(_model(), folder / "m")


def _with_weight(folder: Path, value: torch.Tensor) -> None:
    model(folder)
    file = folder / "m" / "model.safetensors"
    found = load_file(file)
    save_file(found | {UP: value.expand(found[UP].shape).contiguous()}, file, metadata={"format": "pt"})


def nan_weights(folder: Path) -> None:
    """m: a model with a matrix of NaN."""
    _with_weight(folder, torch.tensor(torch.nan))


def infinite_weights(folder: Path) -> None:
    """m: a model with a matrix of infinite numbers."""
    _with_weight(folder, torch.tensor(-torch.inf))


def whole_weights(folder: Path) -> None:
    """m: a model with a matrix of whole numbers."""
    _with_weight(folder, torch.tensor(1))


def no_weights(folder: Path) -> None:
    """m: a model's folder without weights."""
    model(folder)
    (folder / "m" / "model.safetensors").unlink()


def dangling_weights(folder: Path) -> None:
    """m: a model whose weights are a link to nothing."""
    no_weights(folder)
    (folder / "m" / "model.safetensors").symlink_to(folder / "gone")


def folder_as_config(folder: Path) -> None:
    """m: a model whose config.json is a folder."""
    model(folder)
    (folder / "m" / "config.json").unlink()
    (folder / "m" / "config.json").mkdir()


def no_config(folder: Path) -> None:
    """m: a model without a config.json."""
    model(folder)
    (folder / "m" / "config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    """m: a model without a tokenizer."""
    model(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "m" / name).unlink()


def adapter(folder: Path) -> None:
    """m: an adapter's folder as peft writes it, with the tokenizer."""
    no_weights(folder)
    (folder / "m" / "config.json").unlink()
    (folder / "m" / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    save_file(
        {"base_model.model.x.lora_A.weight": torch.ones(2, 2)}, folder / "m" / "adapter_model.safetensors"
    )


def latin_config(folder: Path) -> None:
    """m: a model whose config.json is in latin-1."""
    model(folder)
    path = folder / "m" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"{", b'{"note": "\xef",', 1))


_OF_SUITES = (folder_as_suite, dangling_suite, pipe_as_suite)
_OF_MODELS = (
    *(model, nan_weights, infinite_weights, whole_weights, no_weights, dangling_weights, folder_as_config),
    *(no_config, no_tokenizer, adapter, latin_config),
)
MAKERS: dict[str, Callable[[Path], None]] = {made.__name__: made for made in (*_OF_SUITES, *_OF_MODELS)}
