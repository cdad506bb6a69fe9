"""How long a step takes on a device, by the peaks and shares of devices.yaml."""

from dataclasses import dataclass

from harness.common.suggest import nearest
from harness.forecast.cost import Cost
from harness.forecast.tables import table

CALL = 5.0  # seconds of a judge's reply, assumed
AT_ONCE = 16  # calls under way, as harness.suite.benchmarks.Judge has it


@dataclass(frozen=True)
class Device:
    """One device; devices.yaml says what each number is."""

    name: str
    float32: float
    bfloat16: float
    memory: float
    bandwidth: float
    train: float
    forward: float
    layer: float
    load: float
    start: float
    text: float

    def seconds(self, cost: Cost) -> float:
        """Seconds of a step: what it loads, what it computes at the assumed share of the peak, and the passes
        that wait for one another, which read the weights or start a layer's kernels, whichever is slower.
        """
        if cost.work == "judge":
            return cost.calls * CALL / AT_ONCE
        if cost.work == "files":
            return cost.tokens / self.text + (cost.loads + cost.disk) / self.load
        peak = self.bfloat16 if cost.precision == "bfloat16" else self.float32
        share = self.train if cost.work == "train" else self.forward
        waiting = cost.sequential * max(cost.reads / self.bandwidth, cost.layers * self.layer)
        moved = (cost.loads + cost.disk) / self.load
        return self.start + moved + cost.flops / (peak * share) + waiting


def named(name: str) -> Device:
    """A device of the table; ValueError with the nearest name."""
    known = table("devices")
    if name not in known:
        raise ValueError(f"--device {name}: {nearest(name, list(known))}")
    return Device(name, **{key: float(value) for key, value in known[name].items()})


def here() -> str:
    """The name of this machine's device in the table: "cpu" without a GPU, "h200" for a GPU that has none."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    told = torch.cuda.get_device_name().lower()
    return next((name for name in table("devices") if name in told), "h200")
