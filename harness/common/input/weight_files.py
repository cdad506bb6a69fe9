"""The files of a model's weights: whether they are there and whole, and hold numbers that a model can have.

m/model.safetensors: model.embed_tokens.weight: 3 of 1,000 numbers are NaN or infinite
"""

import math
from pathlib import Path
from typing import Any

from harness.common.input import model_files
from harness.common.text import cut

SAFE = "model.safetensors"  # and what is behind an INDEX of it
INDEX = ".index.json"
WORDS = 120  # characters of a library's words
PACKED = "torch.float4_e2m1fn_x2"  # two numbers of four bits, which torch stores and cannot read
LARGEST = 1_000_000  # of a matrix's numbers; published ones have hundreds, and half precision ends at 65,504


def safetensors(folder: Path) -> list[Path]:
    """The files of a folder's weights, none where it has no safetensors; ValueError for an index that names
    none of the folder's.
    """
    index = folder / f"{SAFE}{INDEX}"
    if (folder / SAFE).exists() or not index.exists():
        return [folder / SAFE] if (folder / SAFE).exists() else []
    about = model_files.mapping(index)
    placed = about.get("weight_map")
    if not isinstance(placed, dict) or not isinstance(about.get("metadata"), dict):
        raise ValueError(f"{index}: its weight_map and metadata are mappings, of which one is none")
    names = set(placed.values())
    if other := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
        raise ValueError(f"{index}: given {cut(repr(other[0]))}; the name of a file beside it")
    return [folder / name for name in sorted(names)]


def check_whole(folder: Path) -> None:
    """ValueError for a file of weights that is not there, cut off, or none of safetensors, and for a weight
    that stands in two.
    """
    from safetensors import SafetensorError, safe_open

    places: dict[str, Path] = {}
    for path in safetensors(folder):
        try:
            with safe_open(path, framework="pt") as opened:
                names = opened.keys()
        except FileNotFoundError as error:
            raise ValueError(f"{path}: its weights cannot be read: no such file") from error
        except (SafetensorError, OSError) as error:
            words = cut(str(error), WORDS)
            raise ValueError(f"{path}: its weights cannot be read: {words}; copy it again") from error
        if twice := [name for name in names if places.setdefault(name, path) != path]:
            raise ValueError(f"{path}: {twice[0]} stands in {places[twice[0]].name} too; have it once")


def check_values(folder: Path) -> None:
    """ValueError for weights that are not finite or impossibly large, for whole numbers where a model's are
    none, and for matrices that each hold one number, with which a model says the same of everything.
    """
    from safetensors import safe_open

    quantized = model_files.mapping(folder / model_files.CONFIG).get("quantization_config") is not None
    matrices: list[tuple[str, float, float]] = []
    for path in safetensors(folder):
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                weight = opened.get_tensor(name)
                if not weight.is_floating_point():
                    if name.endswith(".weight") and not quantized:
                        kind = str(weight.dtype).removeprefix("torch.")
                        raise ValueError(f"{path}: {name} holds {kind}, not floating-point numbers")
                elif weight.numel() and str(weight.dtype) != PACKED:
                    limited = name.endswith(".weight") and weight.dim() > 1 and not quantized
                    bounds = _bounds(weight, limited, f"{path}: {name}")
                    if weight.dim() > 1:
                        matrices.append((f"{path}: {name}", *bounds))
    if matrices and not quantized and all(least == most for _, least, most in matrices):
        where, number, _ = matrices[0]
        others = "and each other matrix one number too: it says the same of everything"
        raise ValueError(f"{where} holds {number:g} alone, {others}")


def _bounds(weight: Any, limited: bool, where: str) -> tuple[float, float]:
    """The least and the largest number of a weight; ValueError where one is none that a model has."""
    import torch

    if weight.element_size() == 1:  # of eight bits torch compares none
        weight = weight.float()
    least, most = map(float, torch.aminmax(weight))
    if not math.isfinite(least) or not math.isfinite(most):
        bad = int((~torch.isfinite(weight)).sum())
        raise ValueError(f"{where}: {bad:,} of {weight.numel():,} numbers are NaN or infinite")
    # Constants that stand among the weights, such as a mask, have other names.
    if limited and max(-least, most) > LARGEST:
        raise ValueError(f"{where}: holds {max(least, most, key=abs):g}; a weight is {LARGEST:,} at most")
    return least, most
