"""Real rows of the leaderboards for tests: a small model that reads any text, rows in our layout, and the
same rows in the hub's, for plain lm-eval."""

import gzip
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.benchmarks.openllm.small_tasks import write_rows

# Hub dataset, configuration -> split -> file, as local_rows.py has it, but written down again.
HUB: dict[tuple[str, str], dict[str, str]] = {
    ("allenai/ai2_arc", "ARC-Challenge"): {
        "train": "arc_challenge_train",
        "validation": "arc_challenge_validation",
        "test": "arc_challenge_test",
    },
    ("Rowan/hellaswag", "default"): {"train": "hellaswag_train", "validation": "hellaswag_validation"},
    ("allenai/winogrande", "winogrande_xl"): {
        "train": "winogrande_xl_train",
        "validation": "winogrande_xl_validation",
    },
    ("openai/gsm8k", "main"): {"train": "gsm8k_train", "test": "gsm8k_test"},
    ("truthfulqa/truthful_qa", "multiple_choice"): {"validation": "truthfulqa_mc_task_v1_817"},
    ("wis-k/instruction-following-eval", "default"): {"train": "ifeval_input_data"},
}
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def reader_folder(folder: Path, shared: Path, *, seed: int = 0, positions: int = 4096) -> Path:
    """A random Llama of some 50,000 parameters with a byte-level BPE of 1,000 tokens, trained on the rows."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    bpe.train_from_iterator([(shared / "openllm/gsm8k_test.jsonl").read_text()[:200_000]], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.3,  # far from uniform, so that answers differ
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config.exponential_decay_length_penalty = (20, 1.3)  # answers end, some 30 tokens long
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl, .jsonl.gz or .json file, whichever is there."""
    for suffix in (".jsonl", ".jsonl.gz", ".json"):
        if (file := path.parent / (path.name + suffix)).exists():
            raw = file.read_bytes()
            text = (gzip.decompress(raw) if suffix == ".jsonl.gz" else raw).decode()
            found: list[dict[str, Any]] = json.loads(
                text if suffix == ".json" else "[" + ",".join(text.strip().split("\n")) + "]"
            )
            return found
    raise FileNotFoundError(path)


def data_folder(folder: Path, shared: Path, most: int | None = None, subjects: Sequence[str] = ()) -> Path:
    """A `data` folder of the first `most` real rows of each file; HellaSwag's examples come from the rows
    under test, for those of its training split are not here. `subjects` are those of MMLU that are kept.
    """
    folder.mkdir()
    source = shared / "openllm"
    for files in HUB.values():
        for name in files.values():
            found = rows_of(source / name.replace("hellaswag_train", "hellaswag_validation"))
            write_rows(folder / f"{name}.jsonl", found[:most])
    for split in ("dev", "validation", "test"):
        found = [r for r in rows_of(source / f"mmlu_{split}") if not subjects or r["subject"] in subjects]
        kept = {s: [r for r in found if r["subject"] == s][:most] for s in {r["subject"]: 0 for r in found}}
        write_rows(folder / f"mmlu_{split}.jsonl", [row for rows in kept.values() for row in rows])
    (folder / "bbh").mkdir()
    for path in (source / "bbh").glob("*.json"):
        examples = json.loads(path.read_text())["examples"][:most]
        (folder / "bbh" / path.name).write_text(json.dumps({"canary": "", "examples": examples}))
    return folder


def hub_folder(folder: Path, data: Path) -> Path:
    """The rows of `data` as folders that `datasets` takes for the hub's, when it stands in `folder`."""
    layout: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {
        key: {split: [_hub_row(r) for r in rows_of(data / name)] for split, name in files.items()}
        for key, files in HUB.items()
    }
    for split in ("dev", "validation", "test"):
        for row in rows_of(data / f"mmlu_{split}"):
            layout.setdefault(("cais/mmlu", row["subject"]), {}).setdefault(split, []).append(row)
    for path in (data / "bbh").glob("*.json"):
        layout["SaylorTwift/bbh", path.stem] = {"test": json.loads(path.read_text())["examples"]}
    readme: dict[str, str] = {}
    for (dataset, config), splits in layout.items():
        (folder / dataset / config).mkdir(parents=True)
        files = ""
        for split, rows in splits.items():
            write_rows(folder / dataset / config / f"{split}.jsonl", rows)
            files += f"  - split: {split}\n    path: {config}/{split}.jsonl\n"
        readme[dataset] = readme.get(dataset, "") + f"- config_name: {config}\n  data_files:\n{files}"
    for dataset, configs in readme.items():
        (folder / dataset / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def _hub_row(row: dict[str, Any]) -> dict[str, Any]:
    for key in {"mc1_targets", "mc2_targets"} & row.keys():
        row[key] = {"choices": list(row[key]), "labels": list(row[key].values())}
    return row


class World(NamedTuple):
    """The folders of a small model, of rows in our layout, and of the same rows in the hub's."""

    model: Path
    data: Path
    hub: Path


def small_world(root: Path, shared: Path, most: int) -> World:
    """A world of the first `most` rows of each file; of MMLU there is one subject."""
    data = data_folder(root / "data", shared, most, ["anatomy"])
    return World(reader_folder(root / "model", shared), data, hub_folder(root / "hub", data))


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """The working directory, for as long as it takes."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)


def plain(model: Path, task: str, hub: Path, **settings: Any) -> dict[str, list[dict[str, Any]]]:
    """lm_eval.simple_evaluate of one of its own tasks, unmodified, in one process: task -> samples."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tasks = Path(lm_eval.__file__).parent / "tasks"
    folders = ("arc", "hellaswag", "mmlu/default", "truthfulqa", "winogrande", "gsm8k", "leaderboard")
    logger, threads = logging.getLogger("lm_eval"), torch.get_num_threads()
    level = logger.level
    torch.set_num_threads(1)
    logger.setLevel(logging.ERROR)
    lm = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(model),
        tokenizer=AutoTokenizer.from_pretrained(model),
        batch_size=3,
    )
    with standing_in(hub):
        found: dict[str, Any] = lm_eval.simple_evaluate(
            lm,
            tasks=[task],
            task_manager=TaskManager(
                include_path=[tasks / folder for folder in folders], include_defaults=False
            ),
            bootstrap_iters=0,
            **settings,
        )
    torch.set_num_threads(threads)
    logger.setLevel(level)
    samples: dict[str, list[dict[str, Any]]] = found["samples"]
    return samples
