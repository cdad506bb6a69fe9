"""What cases need that no line of text can hold: each function makes it in the folder of its case."""

import gzip
import json
import lzma
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT

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


def zero_weights(folder: Path) -> None:
    """m: a model all of whose weights are 0."""
    model(folder)
    file = folder / "m" / "model.safetensors"
    zeros = {name: torch.zeros_like(weight) for name, weight in load_file(file).items()}
    save_file(zeros, file, metadata={"format": "pt"})


def large_weights(folder: Path) -> None:
    """m: a model with a matrix of 1e38."""
    _with_weight(folder, torch.tensor(1e38))


def doubled_weights(folder: Path) -> None:
    """m: a model in two files, of which both have one of the weights."""
    model(folder)
    whole = folder / "m" / "model.safetensors"
    found = load_file(whole)
    first = {UP: found[UP] + 1}
    for name, part in (("a.safetensors", first), ("b.safetensors", found)):
        save_file(part, folder / "m" / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(found, "b.safetensors") | {UP: "a.safetensors"}}
    (folder / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    whole.unlink()


def pipe_as_tokenizer(folder: Path) -> None:
    """m: a model whose tokenizer.json is a pipe that nobody writes to."""
    model(folder)
    (folder / "m" / "tokenizer.json").unlink()
    os.mkfifo(folder / "m" / "tokenizer.json")


def device_as_config(folder: Path) -> None:
    """m: a model whose config.json leads to a device that never ends."""
    no_config(folder)
    (folder / "m" / "config.json").symlink_to("/dev/zero")


def key_template(folder: Path) -> None:
    """m: a model whose template stands in its tokenizer_config.json alone, for a case to change."""
    model(folder)
    (folder / "m" / "chat_template.jinja").unlink()


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


def token_beyond(folder: Path) -> None:
    """m: a model whose chat template writes a token that has no embedding."""
    model(folder)
    file = folder / "m" / "tokenizer.json"
    about = json.loads(file.read_text())
    kinds = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    about["added_tokens"].append(
        {"id": len(about["model"]["vocab"]), "content": "<turn>", "special": True, **kinds}
    )
    file.write_text(json.dumps(about))
    template = folder / "m" / "chat_template.jinja"
    template.write_text(f"<turn>{template.read_text()}")


def _link(folder: Path, name: str, to: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(to)


def empty_folder(folder: Path) -> None:
    """p: a folder without a file."""
    (folder / "p").mkdir()


def pipe_as_rows(folder: Path) -> None:
    """p.jsonl is a pipe that nobody writes to."""
    os.mkfifo(folder / "p.jsonl")


def pipe_in_folder(folder: Path) -> None:
    """p: a folder in which a pipe lies."""
    (folder / "p").mkdir()
    os.mkfifo(folder / "p" / "other.jsonl")


def pipe_as_questions(folder: Path) -> None:
    """b/gsm8k_test.jsonl is a pipe that nobody writes to."""
    (folder / "b").mkdir()
    os.mkfifo(folder / "b" / "gsm8k_test.jsonl")


def pipe_as_template(folder: Path) -> None:
    """t.jinja is a pipe that nobody writes to."""
    os.mkfifo(folder / "t.jinja")


def latin_template(folder: Path) -> None:
    """m: a model; t.jinja: a template in latin-1."""
    model(folder)
    (folder / "t.jinja").write_bytes(b"\xef")


def device_as_rows(folder: Path) -> None:
    """p.jsonl leads to a device that never ends."""
    _link(folder, "p.jsonl", Path("/dev/zero"))


def looping_rows(folder: Path) -> None:
    """p.jsonl is a link to itself."""
    _link(folder, "p.jsonl", folder / "p.jsonl")


def dangling_rows(folder: Path) -> None:
    """p.jsonl is a link to nothing."""
    _link(folder, "p.jsonl", folder / "gone")


def looping_folder(folder: Path) -> None:
    """p: a folder in which a link leads back to it."""
    _link(folder, "p/again", folder / "p")


def packed_bomb(folder: Path) -> None:
    """p.jsonl.gz: a line of 300 MB in 300 kB."""
    with gzip.open(folder / "p.jsonl.gz", "wb") as packed:
        packed.write(b'{"prompt": "')
        for _ in range(300):
            packed.write(b"x" * 1_000_000)


def parquet_rows(folder: Path) -> None:
    """p.parquet: two preferences."""
    columns = {"prompt": ["what is 6 plus 18 ?"] * 2, "chosen": ["24 ."] * 2, "rejected": ["no .", "yes ."]}
    parquet.write_table(pyarrow.table(columns), folder / "p.parquet", compression="none")


def parquet_without_rows(folder: Path) -> None:
    """p.parquet: columns of preferences, and no row."""
    columns = {name: pyarrow.array([], pyarrow.string()) for name in ("prompt", "chosen", "rejected")}
    parquet.write_table(pyarrow.table(columns), folder / "p.parquet")


def other_packed(folder: Path) -> None:
    """p: a folder whose rows are packed by xz."""
    (folder / "p").mkdir()
    row = {"prompt": "what is 6 plus 18 ?", "chosen": "24 .", "rejected": "no ."}
    (folder / "p" / "train.jsonl.xz").write_bytes(lzma.compress(json.dumps(row).encode()))


def parquet_of_bytes(folder: Path) -> None:
    """p.parquet: a preference in bytes that are no text."""
    columns = {name: pyarrow.array([b"\xff\xfe"]) for name in ("prompt", "chosen", "rejected")}
    parquet.write_table(pyarrow.table(columns), folder / "p.parquet")


def judge_prompts(folder: Path) -> None:
    """b: a folder of MT-Bench's with its prompts."""
    (folder / "b").mkdir()
    shutil.copyfile(
        ROOT / "harness" / "pocket" / "data" / "judge_prompts.jsonl", folder / "b" / "judge_prompts.jsonl"
    )


def task(folder: Path) -> None:
    """t: a task of lm-eval with choices, which reads facts.jsonl beside it."""
    text = (ROOT / "harness" / "pocket" / "data" / "pocket_facts.yaml").read_text()
    (folder / "t").mkdir()
    (folder / "t" / "facts.yaml").write_text(text.replace("pocket_facts", "facts"))


def questions(folder: Path) -> None:
    """data, mt and alpaca: 20 questions of GSM8K, of MT-Bench with its judge's prompts, and of AlpacaEval; in
    the eighth of each stands "boom".
    """
    asked = [f"What is {'boom' if n == 7 else n} and one?" for n in range(20)]
    for name in ("data", "mt", "alpaca"):
        (folder / name).mkdir()
    rows = [{"question": q, "answer": "so\n#### 1"} for q in asked]
    _write(folder / "data" / "gsm8k_test.jsonl", rows)
    rows = [{"question_id": n, "category": "stem", "turns": [q]} for n, q in enumerate(asked)]
    _write(folder / "mt" / "question.jsonl", rows)
    single = "Give a [[rating]]. {question}\n{answer}"
    names = (f"{name}{more}" for name in ("single-v1", "single-math-v1") for more in ("", "-multi-turn"))
    prompts = [{"name": n, "system_prompt": "Judge.", "prompt_template": single} for n in names]
    _write(folder / "mt" / "judge_prompts.jsonl", prompts)
    listed = [{"id": str(n), "instruction": q} for n, q in enumerate(asked)]
    (folder / "alpaca" / "questions.json").write_text(json.dumps(listed))


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


_OF_SUITES = (folder_as_suite, dangling_suite, pipe_as_suite)
_OF_MODELS = (
    *(model, nan_weights, infinite_weights, whole_weights, no_weights, dangling_weights, folder_as_config),
    *(no_config, no_tokenizer, adapter, latin_config, zero_weights, large_weights, doubled_weights),
    *(pipe_as_tokenizer, device_as_config, key_template, token_beyond),
)
_OF_DATA = (
    *(empty_folder, pipe_as_rows, pipe_in_folder, pipe_as_questions, device_as_rows, looping_rows),
    *(
        latin_template,
        pipe_as_template,
        dangling_rows,
        looping_folder,
        packed_bomb,
        parquet_rows,
        parquet_of_bytes,
        parquet_without_rows,
        other_packed,
        judge_prompts,
        task,
    ),
)
MAKERS: dict[str, Callable[[Path], None]] = {
    made.__name__: made for made in (*_OF_SUITES, *_OF_MODELS, *_OF_DATA, questions)
}
