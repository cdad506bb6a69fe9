"""TRL's trainers, built by their own constructors around a small model, and a loss of theirs as a result."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from harness.models.loading import Model
from methods.batch import ViewName
from tests.harness.models.tiny_models import tiny_tokenizer
from tests.parity.table import Result
from tests.parity.world import World

Trainer = Any
PAIR = {"prompt": ["a b"], "chosen": [" c"], "rejected": [" d"]}  # a constructor wants data; it is not used
UNPAIRED = {"prompt": ["a b"] * 2, "completion": [" c", " d"], "label": [True, False]}
CHAT = {"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]}


def _built(trainer: Any, config: Any, at: World, data: dict[str, list[Any]], models: Any, hp: Any) -> Trainer:
    """Its loss is called with batches of ours, so nothing is ever trained or saved."""
    args = config(
        output_dir=str(at.folder),
        bf16=False,
        use_cpu=True,
        report_to="none",
        activation_checkpointing=False,
        disable_tqdm=True,
        max_length=64,
        **hp,
    )
    return trainer(
        model=deepcopy(at.policy),
        args=args,
        train_dataset=Dataset.from_dict(data),
        processing_class=tiny_tokenizer(),
        **models,
    )


def dpo(at: World, **hp: Any) -> Trainer:
    return _built(DPOTrainer, DPOConfig, at, PAIR, {"ref_model": deepcopy(at.frozen["ref"])}, hp)


def kto(at: World, **hp: Any) -> Trainer:
    models = {"ref_model": deepcopy(at.frozen["ref"])}
    return _built(KTOTrainer, KTOConfig, at, UNPAIRED, models, {"per_device_train_batch_size": 2, **hp})


def cpo(at: World, **hp: Any) -> Trainer:
    return _built(CPOTrainer, CPOConfig, at, PAIR, {}, {"remove_unused_columns": False, **hp})


def orpo(at: World, **hp: Any) -> Trainer:
    return _built(ORPOTrainer, ORPOConfig, at, PAIR, {}, {"remove_unused_columns": False, **hp})


def gkd(at: World, **hp: Any) -> Trainer:
    return _built(GKDTrainer, GKDConfig, at, CHAT, {"teacher_model": deepcopy(at.frozen["teacher"])}, hp)


def pairs(trainer: Trainer, at: World, step: Sequence[int]) -> dict[str, Tensor]:
    """Chosen and rejected answers as DPOTrainer's collator pads them."""
    return trainer.data_collator(
        [
            {
                "prompt_ids": at.prompts[i],
                "chosen_ids": at.answers["chosen"][i],
                "rejected_ids": at.answers["rejected"][i],
            }
            for i in step
        ]
    )


def labelled_pairs(trainer: Trainer, at: World, step: Sequence[int]) -> dict[str, Tensor]:
    """The same as the collator of CPOTrainer and ORPOTrainer pads them."""
    return trainer.data_collator([_labelled(at, "chosen", i) | _labelled(at, "rejected", i) for i in step])


def _labelled(at: World, view: ViewName, i: int) -> dict[str, list[int]]:
    prompt, answer = at.prompts[i], at.answers[view][i]
    return {
        f"{view}_input_ids": prompt + answer,
        f"{view}_attention_mask": [1] * len(prompt + answer),
        f"{view}_labels": [-100] * len(prompt) + answer,
    }


def of_loss(model: Model, loss: Callable[[], Tensor]) -> Result:
    """A loss and its gradient at the model's parameters."""
    model.zero_grad()
    found = loss()
    found.backward()
    gradient = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }
    model.zero_grad()
    return Result(float(found.detach()), gradient)


def of_step(trainer: Trainer, inputs: Any) -> Result:
    """What `compute_loss` of a trainer says of one batch."""
    return of_loss(trainer.model, lambda: trainer.compute_loss(trainer.model, inputs))
