"""The presets' shrunken twins: tiny random models of the same architectures, small data of every kind, and
the `--set` words that point a preset at them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from tests.benchmarks.openllm.small_tasks import MULTIPLE_CHOICE, choices, write_rows
from tests.harness.cli.test_eval import MULTI, SINGLE
from tests.harness.endpoints.judging_server import KEY_ENV, Running

ARCHITECTURES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "gemma-2": (Gemma2Config, Gemma2ForCausalLM),
}
SPECIAL = [
    *("<pad>", "<s>", "</s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>"),
]
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + {'assistant': 'model'}.get(m.role, m.role) + '\n'"
    " + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def byte_tokenizer(template: str | None) -> Any:
    """One token for each byte, and those that the presets' templates write."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*SPECIAL, *alphabet])}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=SPECIAL[3:],
        chat_template=template,
    )


def model_folder(
    folder: Path,
    architecture: str,
    *,
    hidden: int = 16,
    seed: int = 0,
    template: str | None = None,
    scores: bool = False,
) -> Path:
    """A random model of two layers with its tokenizer; with `scores` a reward model in its place."""
    config_of, model_of = ARCHITECTURES[architecture]
    tokenizer = byte_tokenizer(template)
    config = config_of(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=hidden // 2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.3,
        **({"num_labels": 1} if scores else {}),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForSequenceClassification(config) if scores else model_of(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def data_folder(folder: Path) -> Path:
    """Dialogues, preferences of both data sets, and small data of every benchmark, in a `bench data` home."""
    home = folder / "home"
    for name in ("mt-bench", "alpaca-eval/model_outputs", "arena-hard", "gsm8k", "openllm"):
        (home / name).mkdir(parents=True)
    talk = [
        {"messages": [{"role": "user", "content": f"ask {n}"}, {"role": "assistant", "content": f"say {n}"}]}
        for n in range(24)
    ]
    write_rows(folder / "sft.jsonl", talk)
    for name, first, count in (("train", 0, 24), ("validation", 90, 6)):
        write_rows(
            folder / f"{name}.jsonl",
            [
                {"prompt": f"what is {n}?", "chosen": f"it is {n}", "rejected": f"no {n * 7}"}
                for n in range(first, first + count)
            ],
        )
    _mt_bench(home / "mt-bench")
    asked = [{"instruction": f"tell {'me ' * n}", "output": f"the {n}th", "dataset": "d"} for n in range(6)]
    for generator in ("gpt4_1106_preview", "text_davinci_003"):
        outputs = [row | {"generator": generator} for row in asked]
        (home / "alpaca-eval" / "model_outputs" / f"{generator}.json").write_text(json.dumps(outputs))
    questions = [{"uid": f"q{n}", "category": "arena-hard-v0.1", "prompt": f"x {n}"} for n in range(4)]
    write_rows(home / "arena-hard" / "question_v0.1.jsonl", questions)
    said = {"model": "gpt-4-0314", "messages": [{"role": "assistant", "content": {"answer": "yes"}}]}
    write_rows(
        home / "arena-hard" / "model_answer_v0.1_gpt-4-0314.jsonl",
        [{"uid": q["uid"], **said} for q in questions],
    )
    write_rows(home / "gsm8k" / "gsm8k_test.jsonl", [{"question": "1+1?", "answer": "2\n#### 2"}])
    (home / "openllm" / "choose.yaml").write_text(MULTIPLE_CHOICE)
    write_rows(home / "openllm" / "choose.jsonl", choices(1))
    write_rows(home / "openllm" / "choose_train.jsonl", choices(2))
    return home


def _mt_bench(folder: Path) -> None:
    categories = ("stem", "math", "writing")
    write_rows(
        folder / "question.jsonl",
        [{"question_id": n, "category": c, "turns": ["a", "b"]} for n, c in enumerate(categories, 81)],
    )
    write_rows(
        folder / "reference_answer_gpt-4.jsonl",
        [{"question_id": 82, "choices": [{"index": 0, "turns": ["one", "two"]}]}],
    )
    prompts = {"single-v1": SINGLE, "single-math-v1": SINGLE}
    prompts |= {f"{name}-multi-turn": MULTI for name in prompts}
    about = {"system_prompt": "Give a [[rating]]."}
    rows = [{"name": n, "prompt_template": f"Rating: {t}", **about} for n, t in prompts.items()]
    write_rows(folder / "judge_prompts.jsonl", rows)


def words(
    preset: Any, folder: Path, models_of: tuple[Path, Path], judge: Running, **changes: object
) -> Sequence[str]:
    """`--set` words that point a loaded preset at a teacher and a student, the data of `folder` and a judge.

    changes: more of them, with "__" for a dot in a key.
    """
    teacher, student = models_of
    found: dict[str, object] = {"generation.max_tokens": 8, "max_length": 256}
    for pair in preset.pairs:
        found |= {f"pairs.{pair}.teacher.base": teacher, f"pairs.{pair}.student.base": student}
    for name, dataset in preset.datasets.items():
        for part, file in (("sft", "sft"), ("preference", "train"), ("validation", "validation")):
            if getattr(dataset, part) is not None:
                where = f"datasets.{name}.{part}"
                found |= {f"{where}.path": folder / f"{file}.jsonl", f"{where}.split": "train"}
    for name in preset.judges:
        found |= {f"judges.{name}.base_url": judge.url, f"judges.{name}.api_key_env": KEY_ENV}
    for name, spec in preset.benchmarks.settings_by_name().items():
        if hasattr(spec, "max_tokens"):
            found[f"benchmarks.{name}.max_tokens"] = 6
    if "openllm" in preset.benchmarks.settings_by_name():
        found |= {"benchmarks.openllm.tasks": "[choose]"}
        found["benchmarks.openllm.include"] = folder / "home" / "openllm"
    found |= {key.replace("__", "."): value for key, value in changes.items()}
    return [word for key, value in found.items() for word in ("--set", f"{key}={value}")]
