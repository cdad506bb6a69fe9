"""What computes answers: this process, or a server of vLLM that the step starts; part of what they are."""

from dataclasses import dataclass
from typing import Literal

from harness.store.step_record import optional

DecodingEngine = Literal["own", "vllm"]
DecodingDtype = Literal["float32", "bfloat16"]
LEAST_TEMPERATURE = 0.01  # above 0, of vllm, which takes lower ones for it (vllm/sampling_params.py)


@dataclass(frozen=True)
class Decoder:
    """The engine, the type of its weights, and further arguments of `vllm serve`."""

    engine: DecodingEngine = optional("own")
    dtype: DecodingDtype = optional("float32")
    arguments: tuple[str, ...] = optional(())

    @property
    def note(self) -> str:
        """What tables say of it; "" of our own decoding in float32."""
        by = f" by {self.engine}" if self.engine != "own" else ""
        kind = f" in {self.dtype}" if self.dtype != "float32" else ""
        return f"answers of checkpoints{by}{kind}" if by or kind else ""
