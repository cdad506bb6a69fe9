"""What is measured: each method's setting on our side and on TRL's, where both are one formula."""

from dataclasses import dataclass, field
from typing import Any

VOCABS = (32_000, 128_256)
LR = 1e-4


@dataclass(frozen=True)
class Workload:
    """A method here, and TRL's trainer of the same loss."""

    method: str
    hp: dict[str, Any]
    trainer: str = ""  # of tests/perf/theirs.py
    config: dict[str, Any] = field(default_factory=dict)
    sides: int = 2  # answers of an example that are trained on
    views: tuple[str, ...] = ("chosen", "rejected")  # of our side: what it takes the answers for
    signals: dict[str, str] = field(default_factory=dict)  # our inputs -> folders of the world
    heads: tuple[int, ...] = ()  # for each teacher on how many of the sides its head is multiplied
    variants: tuple[str, ...] = ("trl",)  # of TRL's side, which may have no such method
    goals: dict[str, tuple[float, float]] = field(default_factory=dict)  # variant -> at least, by vocabulary


REF = {f"signal.{side}.ref": f"ref.{side}" for side in ("chosen", "rejected")}
TAUGHT = {"signal.chosen.teacher": "teacher.chosen", "head.teacher": "head.teacher"}
ADVISED = {  # the world's rejected answers stand for what the student would say
    key: folder
    for role in ("teacher", "teacher_ref")
    for key, folder in (
        (f"signal.student_rollout.{role}", f"{role}.rejected"),
        (f"head.{role}", f"head.{role}"),
    )
}
PRECOMPUTED = ("trl", "trl precomputed")
WORKLOADS = {
    "SFT": Workload("SFT", {}, "sft", {}, sides=1, goals={"trl": (2.5, 3.2)}),
    "DPO": Workload(
        "DPO",
        {"beta": 0.1},
        "dpo",
        {"beta": 0.1},
        signals=REF,
        variants=PRECOMPUTED,
        goals={"trl": (4, 6), "trl precomputed": (3, 4.5)},
    ),
    "SimPO": Workload(
        "SimPO",
        {"beta": 2.0, "margin": 1.0},
        "cpo",
        {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0},
        goals={"trl": (1.6, 3.5)},
    ),
    "WPO": Workload(
        "WPO",
        {"beta": 0.1},
        "dpo",
        {"beta": 0.1, "use_weighting": True},
        signals=REF,
        variants=PRECOMPUTED,
    ),
    "KD": Workload(
        "ForwardKD",
        {},
        "gkd",
        {"beta": 0.0, "lmbda": 0.0, "temperature": 1.0},
        sides=1,
        signals=TAUGHT,
        heads=(1,),
        goals={"trl": (1.7, 4.4)},
    ),
    "DCKD": Workload(
        "DCKD",
        {"alpha": 0.1},
        signals=TAUGHT | {"signal.rejected.teacher": "teacher.rejected"},
        heads=(2,),
        variants=(),
    ),
    "ADPA": Workload(
        "ADPA",
        {"gamma_beta": 0.1},
        views=("chosen", "student_rollout"),
        signals=ADVISED,
        heads=(1, 1),
        variants=(),
    ),
}
