"""How large models and steps are, and where they run: what a CPU can be asked for, and what a GPU is for."""

from collections.abc import Mapping
from dataclasses import dataclass

Shape = Mapping[str, int]  # of transformers' LlamaConfig


@dataclass(frozen=True)
class Scale:
    """Random Llamas with tied heads, and the steps of a measurement."""

    student: Shape
    teacher: Shape
    steps: int  # of which the first warms up
    prompt: tuple[int, int]  # tokens, both ends included
    total: tuple[int, int]  # of prompt and answer
    workloads: tuple[str, ...]
    ours: tuple[str, ...]  # our sides
    device: str = "cpu"
    precision: str = "no"
    teacher_dtype: str = "float32"
    batch: int = 8  # examples of an optimizer step

    @property
    def models(self) -> dict[str, tuple[Shape, str]]:
        """Shape and dtype of each."""
        teacher = (self.teacher, self.teacher_dtype)
        return {"student": (self.student, "float32"), "teacher": teacher, "teacher_ref": teacher}


CPU = Scale(
    student={"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
    teacher={"hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 2048},
    steps=3,
    prompt=(32, 64),
    total=(64, 256),
    workloads=("SFT", "DPO", "SimPO", "WPO", "KD", "DCKD", "ADPA"),
    ours=("auto", "recompute"),
)
GPU = Scale(
    student={  # Llama 3.2 1B
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
    },
    teacher={  # Llama 3.1 8B
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
    },
    steps=6,
    prompt=(512, 512),
    total=(1024, 1024),
    workloads=("SFT", "DPO", "KD", "DCKD", "ADPA"),
    ours=("auto", "compiled", "recompute"),
    device="cuda",
    precision="bf16",
    teacher_dtype="bfloat16",
)
SCALES = {"cpu": CPU, "gpu": GPU}
