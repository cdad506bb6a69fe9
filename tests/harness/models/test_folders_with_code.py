"""A model folder is read, never run: its own Python files, and what a pickle of weights would do."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from harness.common import hub
from harness.common.tokenizer import load_config, load_tokenizer, vocabulary
from harness.endpoints import servers
from harness.evaluate import judges
from harness.models import loading, positions, weights
from harness.signals import reward_model
from harness.suite.parts.generation import Generation
from harness.suite.validation import validated
from tests.bench_command import bench
from tests.harness.models.tiny_models import tiny_folder

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
Path({marker!r}).touch()
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""
READS: dict[str, Callable[[Path], Any]] = {
    "config": load_config,
    "tokenizer": load_tokenizer,
    "vocabulary": lambda folder: vocabulary(load_tokenizer(folder), folder),
    "model": loading.load,
    "names and shapes": weights.check,
    "positions": lambda folder: positions.check_length(folder, 8),
    "reward model": lambda folder: reward_model.load(folder, torch.float32),
}


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def own_code(folder: Path, marker: Path) -> Path:
    """A model whose classes stand in the folder, as on the hub; to import them leaves a marker."""
    tiny_folder(folder)
    (folder / "own.py").write_text(CODE.format(marker=str(marker)))
    parts = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    parts |= {"AutoModelForSequenceClassification": "own.OwnModel"}
    rewrite(folder / "config.json", model_type="own", architectures=["OwnModel"], auto_map=parts)
    tokenizer = {"auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}, "tokenizer_class": "OwnTokenizer"}
    rewrite(folder / "tokenizer_config.json", **tokenizer)
    return folder


@pytest.mark.parametrize("what", READS)
def test_code_of_a_folder_is_not_run_whoever_says_yes(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    folder = own_code(tmp_path / "own", marker)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    with pytest.raises(ValueError, match=r"needs code of its own \(own\.py\), which is never run") as told:
        READS[what](folder)
    assert str(told.value).startswith(f"{folder}: ") and "\n" not in str(told.value)
    assert not marker.exists() and "custom code" not in capsys.readouterr().out


def pickled(folder: Path, content: Any = None) -> Path:
    """A tiny model with its weights, or something else, in pytorch_model.bin."""
    tiny_folder(folder)
    safe = folder / "model.safetensors"
    torch.save(content or load_file(safe), folder / "pytorch_model.bin")
    safe.unlink()
    return folder


class Code:
    """What a pickle runs where it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


SUITE = """
name: e
models: {{m: {{path: "{folder}"}}}}
benchmarks: {{gsm8k-cot: {{data: "{data}", max_tokens: 4}}}}
"""


def measured(tmp_path: Path, folder: Path, *said: str) -> Any:
    """`bench run` of a suite with the model of a folder."""
    data = tmp_path / "gsm8k-cot"
    data.mkdir()
    (data / "gsm8k_test.jsonl").write_text(json.dumps({"question": "a b", "answer": "c\n#### 1"}) + "\n")
    (tmp_path / "e.yaml").write_text(SUITE.format(folder=folder, data=data))
    return bench("run", str(tmp_path / "e.yaml"), "--runs", str(tmp_path / "runs"), *said)


def test_pickled_weights_are_refused_before_any_work(tmp_path: Path) -> None:
    folder, marker = tmp_path / "m", tmp_path / "marker"
    done = measured(tmp_path, pickled(folder, Code(marker)))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"{folder}: its weights are pickles (pytorch_model.bin), which can hold code" in done.stderr
    assert "pickled_weights: true" in done.stderr and not marker.exists()
    assert not list(tmp_path.glob("runs/store/answers/*"))


def test_the_suite_may_have_them_and_the_store_gets_safetensors(tmp_path: Path) -> None:
    done = measured(tmp_path, pickled(tmp_path / "m"), "--set", "pickled_weights=true")
    assert done.returncode == 0, done.stderr
    (link,) = tmp_path.glob("runs/store/link/model-*")
    assert (link / "model.safetensors").is_file() and not list(link.glob("*.bin*"))
    kept = torch.load(tmp_path / "m" / "pytorch_model.bin", weights_only=True)
    assert all(torch.equal(kept[name], w) for name, w in load_file(link / "model.safetensors").items())


def test_of_the_hubs_cache_they_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a judge that is served as well, whose server would read them."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--org--judge"
    pickled(cached / "snapshots" / ("a" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    with pytest.raises(ValueError, match="its weights are pickles"):
        judges.SERVER.check({"model": "org/judge", servers.ENGINE: "transformers"}, [])
    assert hub.snapshot("org/other") is None and hub.snapshot("no id") is None


def test_code_in_them_is_not_run_even_then(tmp_path: Path) -> None:
    folder, marker = tmp_path / "m", tmp_path / "marker"
    done = measured(tmp_path, pickled(folder, Code(marker)), "--set", "pickled_weights=true")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"{folder}: its weights hold more than tensors, which is not read" in done.stderr
    assert not marker.exists()


def test_of_a_link_of_the_hub_they_are_refused_when_it_is_made(tmp_path: Path) -> None:
    """Before work only local folders can be looked at."""
    with pytest.raises(ValueError, match="its weights are pickles"):
        weights.check(pickled(tmp_path / "m"))
    with pytest.raises(ValueError, match="its weights are pickles"):
        loading.load(tmp_path / "m")


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_judge_that_is_served_has_none_either(tmp_path: Path, engine: str) -> None:
    """No setting takes them: a server is handed the folder as it is."""
    where = {"model": str(pickled(tmp_path / "m")), "engine": engine, "arguments": ()}
    with pytest.raises(ValueError, match=r"its weights are pickles .* have them as safetensors$"):
        judges.SERVER.check(where, ())


@pytest.mark.parametrize(
    "argument",
    [
        *("--trust-remote-code", "--trust_remote_code=true", "--trust", "--host", "--host=0.0.0.0"),
        *("--ho", "--ud=/tmp/s", "--api-key", "--hf-token=x", "--config", "--config=serve.yaml"),
    ],
)
def test_a_server_that_runs_code_or_that_others_may_ask_is_refused(argument: str) -> None:
    for part, given in ((Generation, {"engine": "vllm"}), (judges.ServedJudge, {"model": "m"})):
        with pytest.raises(ValueError, match=r"^arguments: given --\w+.*, which is refused"):
            validated(part, {**given, "arguments": ["--seed", "1", argument]}, "")
        validated(part, {**given, "arguments": ["--seed", "1", "-tp=2", "trust", "--config-format=hf"]}, "")


@pytest.mark.parametrize("name", ["weights.bin", "model.pt", "consolidated.00.pth", "last.ckpt"])
def test_pickles_of_any_name_are_refused_where_there_is_nothing_else(tmp_path: Path, name: str) -> None:
    """vLLM reads those that transformers does not look for."""
    folder, marker = pickled(tmp_path / "m", Code(tmp_path / "marker")), tmp_path / "marker"
    (folder / "pytorch_model.bin").rename(folder / name)
    torch.save({}, folder / "training_args.bin")
    where = {"model": str(folder), "engine": "vllm", "arguments": ()}
    with pytest.raises(ValueError, match=rf"its weights are pickles \({re.escape(name)}\)"):
        judges.SERVER.check(where, ())
    with pytest.raises(ValueError, match=rf"its weights are pickles \({re.escape(name)}\)") as told:
        weights.check(folder)
    assert str(told.value).endswith("have them as safetensors")  # no setting takes them
    (folder / name).unlink()
    with pytest.raises(ValueError, match=r"no file named model\.safetensors"):
        weights.check(folder)
    assert not marker.exists()


def test_pickles_beside_safetensors_are_refused_where_they_would_be_read(tmp_path: Path) -> None:
    """vLLM reads safetensors of any name before pickles, transformers pytorch_model.bin before such."""
    for name in ("imatrix.bin", "consolidated.00.pth", "pytorch_model.bin"):
        (tmp_path / name).touch()
    (tmp_path / "no-file.safetensors").mkdir()
    (tmp_path / ".hidden.safetensors").touch()
    assert len(weights.pickled(tmp_path)) == 3
    (tmp_path / "model-00001-of-00001.safetensors").touch()
    assert weights.pickled(tmp_path) == [tmp_path / "pytorch_model.bin"]
    with pytest.raises(ValueError, match=r"\(pytorch_model\.bin\).* say `pickled_weights: true`"):
        weights.refuse_pickled(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    weights.refuse_pickled(tmp_path)


def test_shards_keep_their_index(tmp_path: Path) -> None:
    folder, out = tmp_path / "m", tmp_path / "out"
    tiny_folder(folder)
    out.mkdir()
    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    parts = {f"pytorch_model-0000{n}-of-00002.bin": names[n - 1 :: 2] for n in (1, 2)}
    for file, of in parts.items():
        torch.save({name: whole[name] for name in of}, folder / file)
    index = {"weight_map": {name: file for file, of in parts.items() for name in of}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"pytorch_model-00001-of-00002\.bin"):
        weights.refuse_pickled(folder)
    weights.converted(folder, out)
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        (out / name).symlink_to(folder / name)
    loaded = loading.load(out).state_dict()
    assert all(torch.equal(loaded[name], whole[name]) for name in names)
