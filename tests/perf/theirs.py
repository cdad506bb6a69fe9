"""TRL's side: its trainers' own `train`, fed the same ids in the same order."""

import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer

from harness.policy import pad
from tests.perf import world
from tests.perf.workloads import LR, WORKLOADS

PAIR = {
    "prompt": ["w0 w1"],
    "chosen": [" w2"],
    "rejected": [" w3"],
}  # a constructor wants text; it is not used
CHAT = {"messages": [[{"role": "user", "content": "w0"}, {"role": "assistant", "content": "w1"}]]}
Rows = dict[str, list[Any]]
IGNORED = -100


def run(at: Path, name: str, precomputed: bool) -> dict[str, Any]:
    """Seconds and losses of every optimizer step, data loading in it."""
    disable_progress_bars()
    load, rows = WORKLOADS[name], world.pairs(at)
    trainer = BUILD[load.trainer](
        at, rows, load.config | ({"precompute_ref_log_probs": True} if precomputed else {})
    )
    found: dict[str, Any] = {}
    if precomputed:
        began = time.perf_counter()
        trainer.train_dataset = trainer._precompute_ref_logps(trainer.train_dataset, "train", world.BATCH)
        found["making"] = time.perf_counter() - began
    losses: list[float] = []
    step = trainer.training_step

    def watched(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = step(*args, **kwargs)
        losses.append(float(loss))
        return loss

    clock = Clock()
    trainer.training_step = watched
    trainer.add_callback(clock)
    trainer.train()
    return found | {"seconds": clock.seconds, "cpu": clock.cpu, "losses": losses}


class Clock(TrainerCallback):  # type: ignore[misc]
    """From the end of one optimizer step to the end of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.last = time.perf_counter(), time.process_time()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now = time.perf_counter(), time.process_time()
        self.seconds.append(now[0] - self.last[0])
        self.cpu.append(now[1] - self.last[1])
        self.last = now


def _built(
    trainer: Any, config: Any, at: Path, text: Rows, rows: Rows, hp: dict[str, Any], **more: Any
) -> Any:
    args = config(
        output_dir=str(at / "trl"),
        per_device_train_batch_size=world.BATCH,
        max_steps=world.STEPS,
        train_sampling_strategy="sequential",
        learning_rate=LR,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        max_length=512,
        bf16=False,
        use_cpu=True,
        activation_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **hp,
    )
    built = trainer(
        model=_model(at, "student"),
        args=args,
        train_dataset=Dataset.from_dict(text),
        processing_class=AutoTokenizer.from_pretrained(at / "student"),
        **more,
    )
    built.train_dataset = Dataset.from_dict(rows)
    return built


def _model(at: Path, name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(at / name, dtype=torch.float32)


def _labelled(rows: list[list[list[int]]], side: int) -> Rows:
    return {
        "input_ids": [row[0] + row[side] for row in rows],
        "labels": [[IGNORED] * len(row[0]) + row[side] for row in rows],
    }


def _sft(at: Path, rows: list[list[list[int]]], hp: dict[str, Any]) -> Any:
    labelled = _labelled(rows, 1)
    return _built(SFTTrainer, SFTConfig, at, labelled, labelled, hp)


def _dpo(at: Path, rows: list[list[list[int]]], hp: dict[str, Any]) -> Any:
    columns = zip(("prompt_ids", "chosen_ids", "rejected_ids"), zip(*rows, strict=True), strict=True)
    data = {name: list(column) for name, column in columns}
    return _built(DPOTrainer, DPOConfig, at, PAIR, data, hp)


def _cpo(at: Path, rows: list[list[list[int]]], hp: dict[str, Any]) -> Any:
    data: Rows = {}
    for side, name in enumerate(world.SIDES, 1):
        found = _labelled(rows, side)
        found["attention_mask"] = [[1] * len(ids) for ids in found["input_ids"]]
        data |= {f"{name}_{key}": column for key, column in found.items()}
    return _built(CPOTrainer, CPOConfig, at, PAIR, data, {"remove_unused_columns": False, **hp})


def _gkd(at: Path, rows: list[list[list[int]]], hp: dict[str, Any]) -> Any:
    def collated(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        ids, there = pad([e["input_ids"] for e in examples]), pad([[1] * len(e["labels"]) for e in examples])
        labels = pad([e["labels"] for e in examples]).masked_fill(there == 0, IGNORED)
        return {"input_ids": ids, "attention_mask": there, "labels": labels}

    more = {"teacher_model": _model(at, "teacher"), "data_collator": collated}
    return _built(GKDTrainer, GKDConfig, at, CHAT, _labelled(rows, 1), hp, **more)


BUILD = {"sft": _sft, "dpo": _dpo, "cpo": _cpo, "gkd": _gkd}
