"""What the parts train and decode: random models, pairs of mixed lengths, what frozen models say of them."""

import json
from dataclasses import replace
from pathlib import Path

from tests.gpu.check import Check
from tests.gpu.measure import device
from tests.perf import world
from tests.perf.scales import GPU, Scale, Shape

WORKLOADS = ("DPO", "DCKD", "ADPA", "KD")
LAYERS = 4  # of the teachers that signals are made by: what is stored does not depend on how many there are
TINY: Shape = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
}
LARGE = replace(
    GPU,
    teacher={**GPU.teacher, "num_hidden_layers": LAYERS},
    prompt=(64, 400),
    total=(300, 900),
    batch=24,
    workloads=WORKLOADS,
)
SMALL = replace(LARGE, student=TINY, teacher=TINY, prompt=(8, 20), total=(24, 40), batch=4, steps=4)
VOCAB, SMALL_VOCAB = 128_256, 512


def scale(check: Check) -> Scale:
    return replace(SMALL if check.small else LARGE, device=str(device()))


def vocab(check: Check) -> int:
    return SMALL_VOCAB if check.small else VOCAB


def ready(check: Check) -> Path:
    """The folder of models, pairs and signals, made by the first who asks."""
    at = check.folder / "world"
    if not (at / "made.json").exists():
        made = world.make(at, vocab(check), scale(check))
        (at / "made.json").write_text(json.dumps(made))
    return at


def whole_teacher(check: Check) -> Path:
    """A teacher with all of its layers, which runs beside the student."""
    at = check.folder / "whole-teacher"
    if not (at / "config.json").exists():
        shape = TINY if check.small else GPU.teacher
        world.write_model(at, shape, GPU.teacher_dtype, vocab(check), str(device()), seed=1)
    return at
