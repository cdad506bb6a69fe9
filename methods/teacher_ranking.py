"""A teacher's scores of several responses to a prompt, as PAD has them (arXiv 2502.14272, Eq. 7-9)."""

from methods.api import Reads
from methods.batch import Role, View, seq_mean
from methods.lazy_torch import Tensor, torch


def teacher_scores(group: View, alpha: float) -> Tensor:
    """alpha * lp_teacher(y) / |y| + (1 - alpha) * log mean_j P(y chosen over y_j) of each response. [B]"""
    nothing = torch.zeros_like(group.mask[:, 0], dtype=torch.float32)
    likely = seq_mean(group.logps("teacher"), group) if alpha > 0 else nothing
    chosen = group.scores("selection") if alpha < 1 else nothing
    return alpha * likely + (1 - alpha) * chosen


def scored_by_teacher(alpha: float) -> Reads:
    """What `teacher_scores` and the policy's log-probs read."""
    logps: tuple[Role, ...] = ("policy", "teacher") if alpha > 0 else ("policy",)
    return Reads(logps=logps, scores=("selection",) if alpha < 1 else ())
