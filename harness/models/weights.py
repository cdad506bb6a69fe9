"""Models as folders: where they are, who they are, and that all of their weights are there.

A model is a local Hugging Face folder or a hub id ("name" or "name@revision"). What its files lack would be
random, and other at each load: transformers loads what fits and mutters about the rest; here the rest is a
ValueError that names it.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from harness.common import hub
from harness.common.files import sha256
from harness.common.input import model_files, weight_files
from harness.common.input.weight_files import INDEX, SAFE
from harness.common.suggest import did_you_mean, nearest
from harness.common.text import cut
from harness.common.tokenizer import load_config

PICKLED = "pytorch_model.bin"  # and what is behind an INDEX of it
PICKLES = (".bin", ".pt", ".pth", ".ckpt")  # of weights, as any engine reads them
OF_TRAINING = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")  # pickles that none reads
GENERATION = "generation_config.json"
REWARD = "ForSequenceClassification"
SHOWN = 3  # names of a list in a message


def fingerprint(ref: str) -> str:
    """What a model is: a hash over the files of a local folder, or hub id and commit."""
    folder = Path(ref)
    if folder.is_dir():
        model_files.check_kinds(folder)
        return _hashed(folder)
    if folder.is_file():
        raise ValueError(f"{cut(ref)} is a file, where a model's folder is expected")
    beside = [*folder.parent.iterdir()] if folder.parent.is_dir() else []
    name, at, revision = ref.partition("@")
    odd = bool(at) and (not revision or "@" in revision)
    missing = folder.is_absolute() or ref.startswith(".") or ref.count("/") != 1 or odd
    # A name in a folder that is here is one of its folders, unless a hub id has been read by it before.
    if missing or (beside and not revision and not hub.is_cached("model", name)):
        hint = did_you_mean(folder.name, [p.name for p in beside if p.is_dir()])
        allowed = "a local folder, or a hub id such as org/name@revision"
        raise ValueError(f"no folder {cut(ref)}{hint} ({allowed})")
    return hub.resolve("model", name, revision or "main", "give a local folder with --set")


@cache
def _hashed(folder: Path) -> str:
    return content_hash(folder.iterdir())


def content_hash(files: Iterable[Path]) -> str:
    """What the files of a model are: a hash over their contents and names, wherever they lie."""
    digest = hashlib.sha256()
    for path in sorted(p for p in files if p.is_file()):
        digest.update(path.name.encode() + bytes.fromhex(sha256(path)))
    return "sha256:" + digest.hexdigest()[:32]


def fetch(ref: str) -> Path:
    """The folder of a model; a hub id is downloaded into the hub's cache."""
    if Path(ref).is_dir():
        return Path(ref)
    from huggingface_hub import snapshot_download

    name, _, revision = ref.partition("@")
    return Path(snapshot_download(name, revision=revision or None))


def pickled(folder: Path) -> list[Path]:
    """The files of pickles that hold a folder's weights; none where safetensors do.

    vLLM reads safetensors of any name before pickles, transformers pickles of its name before such.
    """
    if (folder / SAFE).exists() or (folder / f"{SAFE}{INDEX}").exists():
        return []
    there = (path for path in folder.iterdir() if path.suffix in PICKLES)
    found = sorted(path for path in there if not path.name.startswith(OF_TRAINING))
    safe = any(path.is_file() and path.name[0] != "." for path in folder.glob("*.safetensors"))
    return [path for path in found if _of_transformers(path)] if safe else found


def _of_transformers(path: Path) -> bool:
    """Whether a file of pickles has a name that transformers reads, and `converted`."""
    return path.name.startswith(Path(PICKLED).stem) and path.suffix == Path(PICKLED).suffix


def refuse_pickled(folder: Path, *, may_be_trusted: bool = True) -> None:
    """ValueError for weights that are pickles: reading one may run what its author wrote into it.

    `may_be_trusted`: of a server's model no copy is made that has them as safetensors, so no setting takes
    them.
    """
    if found := pickled(folder):
        setting = ", or say `pickled_weights: true` in the suite if you trust whoever made them"
        taken = may_be_trusted and any(map(_of_transformers, found))
        raise ValueError(
            f"{folder}: its weights are pickles ({found[0].name}), which can hold code; have them as "
            f"safetensors{setting if taken else ''}"
        )


def converted(folder: Path, out: Path) -> None:
    """Write the pickled weights of a folder as safetensors; torch reads tensors alone, and no code."""
    from safetensors.torch import save_file

    placed: dict[str, str] = {}
    files = [path for path in pickled(folder) if _of_transformers(path)]
    for path in files:
        tensors = tensors_of(path)
        name = path.name.replace(Path(PICKLED).stem, Path(SAFE).stem).replace(".bin", ".safetensors")
        # Cloned: matrices that are tied share their memory, which no file of safetensors can say.
        save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, out / name)
        placed |= dict.fromkeys(tensors, name)
    if len(files) > 1:
        index = {"metadata": {}, "weight_map": placed}
        (out / f"{SAFE}{INDEX}").write_text(json.dumps(index))


def tensors_of(path: Path) -> dict[str, Any]:
    """The tensors of a file of pickles by their names; ValueError for one that holds anything else."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"{path}: holds more than tensors, which is not read") from error
    except (EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path}: its weights cannot be read: {cut(str(error), 80)}") from error
    named = isinstance(found, dict) and all(isinstance(name, str) for name in found)
    if not named or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise ValueError(f"{path}: holds no tensors by their names")
    return dict(found)


def pretrained(architecture: Any, folder: Path, *, trusted: bool = False, **how: Any) -> Any:
    """The model of a folder by one of transformers' Auto classes, in eval mode; ValueError unless its files
    hold the weights that its config.json speaks of, those and no others, as safetensors. `trusted` takes
    pickles as well.
    """
    import torch

    # cuBLAS reads it at its first product alone, and `engine.deterministic` may ask for it after that.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Of a GPU's attention kernels cuDNN's plans anew for every shape, and here most steps have their own.
    torch.backends.cuda.enable_cudnn_sdp(False)
    model_files.refuse_adapter(folder)
    if not trusted:
        refuse_pickled(folder)
    weight_files.check_whole(folder)
    how["use_safetensors"] = None if trusted else True
    how["output_attentions"] = False  # nothing here reads them, and with them no config is saved
    ends = {GENERATION: lambda: generation_config(folder)} if (folder / GENERATION).exists() else {}
    ends |= {path.name: partial(tensors_of, path) for path in (pickled(folder) if trusted else [])}
    with model_files.reading(folder, model_files.CONFIG, ends) as safely:
        try:
            model, told = architecture.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **how, **safely
            )
        except UnpicklingError as error:
            raise ValueError(f"{folder}: its weights hold more than tensors, which is not read") from error
    told["unexpected_keys"] = {name for name in told["unexpected_keys"] if not _is_mask(model, name)}
    if faults := _faults(told) or _untied(model):
        name = type(model).__name__
        raise ValueError(f"{folder}: its files do not hold the {name} of config.json: {faults}")
    return model.eval()


def check(folder: Path, scores: bool | None = None, *, trusted: bool = False) -> None:
    """ValueError where the weights of a local folder are not those of its config.json; names and shapes alone
    are read. `scores`: whether it is a reward model, None: as config.json says.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    model_files.check(folder)
    config = load_config(folder)
    _check_quantization(folder / model_files.CONFIG)
    architectures = config.architectures or ()
    if scores is None:
        scores = any(REWARD in name for name in architectures)
    architecture = AutoModelForSequenceClassification if scores else AutoModelForCausalLM
    pretrained(architecture, folder, trusted=trusted, device_map="meta")


def _check_quantization(path: Path) -> None:
    """ValueError for a kind of quantization that transformers does not know: it would take the numbers as
    they are.
    """
    how = model_files.mapping(path).get("quantization_config")
    if how is None:
        return
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    kind, known = str(how.get("quant_method")), sorted(AUTO_QUANTIZATION_CONFIG_MAPPING)
    if kind not in known and kind != "bitsandbytes":  # of which transformers has two
        raise ValueError(
            f"{path}: quantization_config.quant_method: given {cut(kind)}; {nearest(kind, known)}"
        )


def generation_config(folder: Path) -> Any:
    """What ends an answer of a folder's model, as transformers reads it beside the weights."""
    from transformers import GenerationConfig

    file = folder / GENERATION
    with model_files.reading(folder, GENERATION if file.exists() else model_files.CONFIG):
        if file.exists():
            return GenerationConfig.from_pretrained(folder)
        return GenerationConfig.from_model_config(load_config(folder))


def _faults(told: Mapping[str, Any]) -> str:
    """What a load says was missing, too much, or of another shape; "" where nothing was."""
    named = {
        "lacking": told["missing_keys"],
        "unknown": told["unexpected_keys"],
        "of other shapes": [
            f"{n} ({list(has)}, not {list(wants)})" for n, has, wants in told["mismatched_keys"]
        ],
    }
    return "; ".join(f"{what}: {_some(names)}" for what, names in named.items() if names)


def _is_mask(model: Any, name: str) -> bool:
    """Whether a tensor is a constant that transformers saved among the weights once (of GPT-Neo, GPT-J and
    DialoGPT), and makes anew today.
    """
    made = {buffer for buffer, _ in model.named_buffers()}
    return name.endswith(".masked_bias") or bool({name, f"{model.base_model_prefix}.{name}"} & made)


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def _untied(model: Any) -> str:
    """A matrix that config.json ties to another and that has other values in the files: transformers takes
    both as they are, other engines one of them.
    """
    ties = model.get_expanded_tied_weights_keys(all_submodels=True)
    apart = [
        f"{name}, which config.json ties to {ties[name]}"
        for name in ties.keys() - model.all_tied_weights_keys
    ]
    return f"of other values: {_some(apart)}; set tie_word_embeddings to false" if apart else ""
