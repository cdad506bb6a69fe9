"""The files of a model's folder: what a library raises over them is one line that names the file.

    m/config.json: num_hidden_layers: given 0; a whole number from 1 to 10,000

A library that reads a broken file raises what it happens to stumble over, so the file is looked for after it.
"""

import errno
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.file_bytes import kind_of
from harness.common import shutdown
from harness.common.text import cut

CONFIG, ADAPTER, TOKENIZER = "config.json", "adapter_config.json", "tokenizer.json"
OF_TOKENIZER = ("tokenizer_config.json", TOKENIZER, "special_tokens_map.json", "added_tokens.json")
READ = (CONFIG, "generation_config.json", *OF_TOKENIZER)
SUFFIXES = (".json", ".jinja", ".safetensors", ".model", ".txt")  # of files that are read
SIZES = {  # of a config, and the most of each: a library takes hours to build what nobody has
    "num_hidden_layers": 10_000,
    "num_attention_heads": 1 << 20,
    "num_key_value_heads": 1 << 20,
    "head_dim": 1 << 20,
    "hidden_size": 1 << 24,
    "intermediate_size": 1 << 24,
    **dict.fromkeys(("n_layer", "n_head"), 1 << 20),  # as GPT-2 has them
    **dict.fromkeys(("n_embd", "n_inner", "d_model", "ffn_dim"), 1 << 24),  # and OPT
    "vocab_size": 1 << 31,
    "max_position_embeddings": 1 << 40,
}
ROPES = "rope_scaling", "rope_parameters"  # as transformers called them and calls them
POSITIVE = ("rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
NEAREST, FARTHEST = 1e-6, 1e12  # of these numbers; models have 0.1 to 1e8
FACTORS = "short_factor", "long_factor"  # of longrope, one for each frequency
SHARES = (
    *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"),
    *("attention_dropout", "hidden_dropout", "dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop"),
)
TEMPLATE_NAME = re.compile(r"[\w.+ -]{1,100}")  # of one of several templates
WORDS, SHOWN = 160, 100  # characters of a library's words, and of a list of files
NO_MEMORY = "can't allocate memory"  # torch's words on a CPU
OUT_OF_MEMORY = "OutOfMemoryError"  # torch's, by its name: not every command imports it


def mapping(path: Path) -> dict[str, Any]:
    """The JSON of a file, which is a mapping; ValueError for anything else."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path}: not JSON that is read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if not isinstance(given, dict):
        raise ValueError(f"{path}: given {cut(repr(given))}; a mapping in braces")
    return given


def check_kinds(folder: Path) -> None:
    """ValueError for a pipe, socket or device of a folder, which a library would read without an end."""
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.exists() and (kind := kind_of(path)) not in ("file", "folder"):
            raise ValueError(f"{path}: a {kind}, where a file is expected")


def check(folder: Path) -> None:
    """ValueError where a model cannot be read from a folder's files: broken ones, or impossible sizes."""
    if not (folder / CONFIG).is_file():
        if (folder / ADAPTER).exists():
            refuse_adapter(folder)
        raise ValueError(f"{folder}: no file {CONFIG} there, which a model's folder has")
    for name in READ:
        if (folder / name).exists():
            about = mapping(folder / name)
            end_ids(folder / name, about.get("eos_token_id"))
            if name == CONFIG:
                _check_config(folder / name, about)


def end_ids(path: Path, given: Any) -> list[int]:
    """The ids of end tokens as a config has them, one or a list; ValueError for what is no id."""
    ids = [one for one in (given if isinstance(given, list) else [given]) if one is not None]
    for one in ids:
        if isinstance(one, bool) or not isinstance(one, int) or one < 0:
            raise ValueError(f"{path}: eos_token_id: given {cut(repr(one))}; the id of a token, or a list")
    return ids


def chat_template(path: Path, given: Any) -> str | None:
    """The template of a tokenizer_config.json, of several the default one; ValueError for what is none."""
    if isinstance(given, list) and all(isinstance(one, Mapping) for one in given):
        named = {one.get("name"): one.get("template") for one in given}
        if all(isinstance(text, str) for pair in named.items() for text in pair):
            if odd := [name for name in named if not TEMPLATE_NAME.fullmatch(str(name))]:
                allowed = "letters, digits and . _ + -, as it names a file where the tokenizer is saved"
                raise ValueError(f"{path}: chat_template: name: given {cut(repr(odd[0]))}; {allowed}")
            return named.get("default")
    elif isinstance(given, str | None):
        return given
    raise ValueError(
        f"{path}: chat_template: given {cut(repr(given))}; a text, or a list of name and template"
    )


def refuse_adapter(folder: Path) -> None:
    """ValueError for a folder that holds an adapter."""
    if (folder / ADAPTER).exists():
        raise ValueError(f"{folder} holds an adapter; merge it into its base model (peft: merge_and_unload)")


def _check_config(path: Path, about: Mapping[str, Any]) -> None:
    if not isinstance(kind := about.get("model_type"), str):
        raise ValueError(f"{path}: model_type: given {cut(repr(kind))}; a name, such as llama")
    if not isinstance(how := about.get("quantization_config", {}), Mapping | None):
        raise ValueError(f"{path}: quantization_config: given {cut(repr(how))}; a mapping")
    names = about.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: architectures: given {cut(repr(names))}; a list of names")
    text = about.get("text_config") or about
    if not isinstance(text, Mapping):
        raise ValueError(f"{path}: text_config: given {cut(repr(text))}; a mapping")
    for name, most in SIZES.items():
        size = text.get(name)
        if isinstance(size, int) and not 0 < size <= most:
            raise ValueError(f"{path}: {name}: given {size}; a whole number from 1 to {most:,}")
    window = text.get("sliding_window")
    if text.get("use_sliding_window", True) and isinstance(window, int) and window < 1:
        raise ValueError(f"{path}: sliding_window: given {window}; tokens that one sees, 1 at least, or null")
    ropes = [text.get(name) or {} for name in ROPES]
    if any(not isinstance(rope, Mapping) for rope in ropes):
        raise ValueError(f"{path}: {' or '.join(ROPES)}: given {cut(repr(ropes))}; a mapping")
    # Where kinds of layers turn by unlike angles, each has a mapping of its own.
    of_layers = [part for rope in ropes for part in rope.values() if isinstance(part, Mapping)]
    for part in (text, *ropes, *of_layers):
        _check_numbers(path, part)


def _check_numbers(path: Path, part: Mapping[str, Any]) -> None:
    """ValueError for a number with which a model says NaN, or the same of everything."""
    for name, given in part.items():
        if given is not None and name in (*POSITIVE, *FACTORS):
            parts = given if name in FACTORS and isinstance(given, list) else [given]
            if odd := [part for part in parts if not _positive(part)]:
                allowed = f"a number from {NEAREST:g} to {FARTHEST:g}"
                raise ValueError(f"{path}: {name}: given {cut(repr(odd[0]))}; {allowed}")
        elif name == "partial_rotary_factor" and isinstance(given, int | float) and not 0 < given <= 1:
            raise ValueError(f"{path}: {name}: given {given}; a number above 0, up to 1")
        elif name in SHARES and isinstance(given, int | float) and not 0 <= given < 1:
            raise ValueError(f"{path}: {name}: given {given}; a number from 0 to less than 1")
        elif isinstance(given, float) and math.isnan(given):
            raise ValueError(f"{path}: {name}: given nan; a number")


def _positive(given: object) -> bool:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    return number and NEAREST <= given <= FARTHEST  # type: ignore[operator]


@contextmanager
def reading(
    folder: Path, name: str, others: Mapping[str, Callable[[], object]] = MappingProxyType({})
) -> Iterator[dict[str, bool]]:
    """What transformers is told inside, so that it asks nobody whether to run a folder's code. Whatever it
    raises over a folder is a ValueError: of the file that is broken, else of one of `others` that does not
    stand being read alone, else of `name`.
    """
    try:
        yield {"trust_remote_code": False}
    except shutdown.Terminated:
        raise
    except Exception as error:
        machine = (
            isinstance(error, OSError)
            and error.errno not in (None, errno.ENOENT, errno.EINVAL)  # the last of a file that is cut off
        )
        memory = isinstance(error, MemoryError) or type(error).__name__ == OUT_OF_MEMORY
        if machine or memory or NO_MEMORY in str(error):
            raise
        if "trust_remote_code" in str(error):
            names = sorted(path.name for path in folder.glob("*.py")) or ["of another repository"]
            told = f"it needs code of its own ({', '.join(names)[:SHOWN]}), which is never run"
            raise ValueError(
                f"{folder}: {told}; give a model of an architecture that transformers has"
            ) from error
        if isinstance(error, ValueError) and str(error).startswith(f"{folder}: "):
            raise  # told already
        check(folder)
        words = " ".join(str(error).split())
        kind = "" if isinstance(error, ValueError | OSError | ImportError) else f"{type(error).__name__}: "
        blamed = next((other for other, read in others.items() if not _stands(read)), name)
        raise ValueError(f"{folder / blamed}: {cut(kind + words, WORDS)}") from error


def _stands(read: Callable[[], object]) -> bool:
    try:
        read()
    except Exception:  # whatever a library raises over it
        return False
    return True
