"""What a log tells of a training beside its loss: means over an optimizer step of what the loss read.

    chosen.teacher_kl       0.41   a statistic that the method declares, mean over the view's tokens
    margin                  3.20   log pi(chosen) - log pi(rejected), nats, mean over examples
    reward_margin           0.75   the same of log(pi / ref): DPO's reward margin over beta
    chosen.log_ratio       -0.20   log pi - log ref of a response, nats, mean over examples
    policy_rollout.kl_ref   0.02   log pi - log ref per token of the policy's own responses, estimates the KL
    policy_rollout.entropy  1.31   -log pi per token of them, nats: of samples, the policy's entropy

Nothing is computed for it that the loss did not need, so a method has those of what it reads.
"""

import torch
from accelerate import Accelerator
from torch import Tensor

from methods.batch import Batch, Role, View, example_mean, seq_sum, token_mean

BESIDE: tuple[Role, ...] = ("ref", "teacher")


class Told:
    """A process's part in the means of an optimizer step, added up without a question to its device, where
    they are `wanted`.
    """

    def __init__(self, *, wanted: bool = False) -> None:
        self.wanted = wanted
        self._sums: dict[str, Tensor] = {}

    def clear(self) -> None:
        """Begin an optimizer step."""
        self._sums.clear()

    def add(self, batch: Batch, *, empty: bool) -> None:
        """Add a micro-batch; of an empty one the names alone, which all processes must know."""
        for name, value in means(batch).items() if self.wanted else ():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + (0 if empty else 1) * value

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """The means over all processes, which all ask for them after the same steps."""
        return {name: float(accelerator.reduce(value)) for name, value in self._sums.items()}


@torch.no_grad()
def means(batch: Batch) -> dict[str, Tensor]:
    """Sums of a micro-batch over counts of the whole optimizer step; micro-batches add up to the means."""
    found: dict[str, Tensor] = {}
    for name, view in batch.views.items():
        found |= {f"{name}.{s.name}": token_mean(values, view) for s, values in view.statistics.items()}
        logps = view.token_logps
        if name == "policy_rollout" and "policy" in logps:
            found[f"{name}.entropy"] = -token_mean(logps["policy"], view)
            beside = [role for role in BESIDE if role in logps]
            found |= {f"{name}.kl_{role}": token_mean(logps["policy"] - logps[role], view) for role in beside}
        # A group has several responses an example, over which no mean of examples is.
        elif name != "group" and {"policy", "ref"} <= logps.keys():
            found[f"{name}.log_ratio"] = example_mean(
                _log_prob("policy", view) - _log_prob("ref", view), batch
            )
    if {"chosen", "rejected"} <= batch.views.keys():
        pair = batch.chosen, batch.rejected
        if all("policy" in view.token_logps for view in pair):
            chosen, rejected = (_log_prob("policy", view) for view in pair)
            found["margin"] = example_mean(chosen - rejected, batch)
        if {"chosen.log_ratio", "rejected.log_ratio"} <= found.keys():
            found["reward_margin"] = found["chosen.log_ratio"] - found["rejected.log_ratio"]
    return found


def _log_prob(role: Role, view: View) -> Tensor:
    """log p of each response. [B]"""
    return seq_sum(view.token_logps[role], view)
