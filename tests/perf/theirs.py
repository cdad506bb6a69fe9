"""TRL's side: its trainers' own `train`, fed the same ids in the same order."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer

from harness.models.policy import pad
from tests.perf import world
from tests.perf.clock import synchronize
from tests.perf.scales import Scale
from tests.perf.workloads import LR, WORKLOADS

PAIR = {
    "prompt": ["w0 w1"],
    "chosen": [" w2"],
    "rejected": [" w3"],
}  # a constructor wants text; it is not used
CHAT = {"messages": [[{"role": "user", "content": "w0"}, {"role": "assistant", "content": "w1"}]]}
Rows = dict[str, list[Any]]
IGNORED = -100


def run(at: Path, scale: Scale, name: str, precomputed: bool) -> dict[str, Any]:
    """Seconds and losses of every optimizer step, data loading in it."""
    disable_progress_bars()
    load = WORKLOADS[name]
    hp = load.config | ({"precompute_ref_log_probs": True} if precomputed else {})
    trainer = BUILD[load.trainer](Given(at, scale, world.pairs(at), hp))
    found: dict[str, Any] = {}
    if precomputed:
        began = time.perf_counter()
        trainer.train_dataset = trainer._precompute_ref_logps(trainer.train_dataset, "train", scale.batch)
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
        synchronize()
        now = time.perf_counter(), time.process_time()
        self.seconds.append(now[0] - self.last[0])
        self.cpu.append(now[1] - self.last[1])
        self.last = now


class Given(NamedTuple):
    """What every trainer is built from."""

    at: Path
    scale: Scale
    rows: list[list[list[int]]]
    hp: dict[str, Any]


def _built(trainer: Any, config: Any, given: Given, text: Rows, rows: Rows, **more: Any) -> Any:
    at, scale = given.at, given.scale
    args = config(
        output_dir=str(at / "trl"),
        per_device_train_batch_size=scale.batch,
        max_steps=scale.steps,
        train_sampling_strategy="sequential",
        learning_rate=LR,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        max_length=2 * scale.total[1],
        bf16=scale.precision == "bf16",
        use_cpu=scale.device == "cpu",
        activation_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **given.hp,
    )
    built = trainer(
        model=_model(given, "student"),
        args=args,
        train_dataset=Dataset.from_dict(text),
        processing_class=AutoTokenizer.from_pretrained(at / "student"),
        **more,
    )
    built.train_dataset = Dataset.from_dict(rows)
    return built


def _model(given: Given, name: str) -> Any:
    _, dtype = given.scale.models[name]
    return AutoModelForCausalLM.from_pretrained(given.at / name, dtype=getattr(torch, dtype))


def _labelled(rows: list[list[list[int]]], side: int) -> Rows:
    return {
        "input_ids": [row[0] + row[side] for row in rows],
        "labels": [[IGNORED] * len(row[0]) + row[side] for row in rows],
    }


def _sft(given: Given) -> Any:
    labelled = _labelled(given.rows, 1)
    return _built(SFTTrainer, SFTConfig, given, labelled, labelled)


def _dpo(given: Given) -> Any:
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    data = {name: list(column) for name, column in zip(names, zip(*given.rows, strict=True), strict=True)}
    return _built(DPOTrainer, DPOConfig, given, PAIR, data)


def _cpo(given: Given) -> Any:
    data: Rows = {}
    for side, name in enumerate(world.SIDES, 1):
        found = _labelled(given.rows, side)
        found["attention_mask"] = [[1] * len(ids) for ids in found["input_ids"]]
        data |= {f"{name}_{key}": column for key, column in found.items()}
    given = given._replace(hp={"remove_unused_columns": False, **given.hp})
    return _built(CPOTrainer, CPOConfig, given, PAIR, data)


def _gkd(given: Given) -> Any:
    def collated(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        ids, there = pad([e["input_ids"] for e in examples]), pad([[1] * len(e["labels"]) for e in examples])
        labels = pad([e["labels"] for e in examples]).masked_fill(there == 0, IGNORED)
        return {"input_ids": ids, "attention_mask": there, "labels": labels}

    more = {"teacher_model": _model(given, "teacher"), "data_collator": collated}
    return _built(GKDTrainer, GKDConfig, given, CHAT, _labelled(given.rows, 1), **more)


BUILD = {"sft": _sft, "dpo": _dpo, "cpo": _cpo, "gkd": _gkd}
