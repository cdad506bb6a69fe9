"""The numbers of ADPA's paper as they stand there: Gao et al., "Advantage-Guided Distillation for Preference
Alignment in Small Language Models", ICLR 2025 (arXiv 2502.17927).

    DPO_MIX_7K, HELPSTEER2  main table of the slides, which do not name its pair; by its OpenLLM it is
                            LLaMA-3.1-8B > LLaMA-3.2-1B
    ABLATION                Table 2, DPO-MIX-7K: Mistral-7B > Danube3-500M, Mistral-7B > Danube2-1.8B,
                            LLaMA-2-13B > LLaMA-2-7B
    GRANULARITY             Table 3, pair not stated
    Q_VARIANTS              table of the slides on distilling Q or the advantage, pair not stated

And of PAD, Gu et al., "Capturing Nuanced Preferences: Preference-Aligned Distillation for Small Language
Models", Findings of ACL 2025 (arXiv 2502.14272):

    PAD_LC                  AlpacaEval 2, length-controlled, Gemma-2-9B-It > Gemma-2-2B-It: README of the
                            authors' code (EganGu/PAD). The paper's other tables were not at hand.

Win rates are AlpacaEval's, in percent; MT-Bench is a mean of ratings 1-10; OpenLLM is the average of the Open
LLM Leaderboard, in percent. Rows bear the names of our registry.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Scores(NamedTuple):
    """A row of the main table: MT-Bench, win rate against ADPA, OpenLLM."""

    mt_bench: float
    win_rate: float
    openllm: float


class Ablated(NamedTuple):
    """A row of Table 2 on one pair: win rate against the full method of its block, MT-Bench."""

    win_rate: float
    mt_bench: float


class Granularity(NamedTuple):
    """A row of Table 3: sample complexity for the best next action, win rate against ADPA."""

    complexity: str
    win_rate: float


DPO_MIX_7K: Mapping[str, Scores] = {
    "Teacher": Scores(6.26, 81.7, 64.24),
    "Student": Scores(3.29, 25.1, 42.00),
    "SFT": Scores(3.34, 35.7, 42.00),
    "DPO": Scores(3.40, 33.2, 42.70),
    "SimPO": Scores(3.37, 21.3, 42.30),
    "WPO": Scores(3.68, 39.4, 42.67),
    "VanillaKD": Scores(3.40, 34.1, 42.53),
    "SeqKD": Scores(3.74, 29.7, 42.17),
    "ATKD": Scores(3.62, 32.4, 42.28),
    "PLaD": Scores(3.42, 29.3, 42.31),
    "DDPO": Scores(3.21, 28.7, 42.02),
    "DPKD": Scores(3.29, 28.9, 41.87),
    "DCKD": Scores(3.50, 37.5, 42.69),
    "ADPA": Scores(3.88, 50.0, 43.38),
    "ADPA+": Scores(4.02, 53.8, 43.03),
}
HELPSTEER2: Mapping[str, Scores] = {
    "Teacher": Scores(6.38, 90.3, 63.78),
    "Student": Scores(3.29, 36.8, 42.00),
    "SFT": Scores(3.13, 38.7, 41.86),
    "DPO": Scores(3.38, 39.3, 42.47),
    "SimPO": Scores(3.47, 43.6, 42.78),
    "WPO": Scores(3.51, 48.7, 42.85),
    "VanillaKD": Scores(3.58, 40.2, 41.69),
    "SeqKD": Scores(3.44, 44.4, 41.78),
    "ATKD": Scores(3.59, 42.2, 42.42),
    "PLaD": Scores(3.36, 37.8, 42.50),
    "DDPO": Scores(3.34, 37.3, 42.23),
    "DPKD": Scores(3.10, 36.5, 41.74),
    "DCKD": Scores(3.44, 40.5, 41.67),
    "ADPA": Scores(3.62, 50.0, 42.60),
    "ADPA+": Scores(3.99, 60.9, 43.07),
}

STUDENTS = ("500M", "1.8B", "7B")
ABLATION: Mapping[str, tuple[Ablated, Ablated, Ablated]] = {
    "DCKD": (Ablated(50.0, 2.67), Ablated(50.0, 4.09), Ablated(50.0, 4.96)),
    "DCKD w/o DPO teacher": (Ablated(48.2, 2.46), Ablated(35.6, 3.63), Ablated(39.1, 4.60)),
    "DCKD w/o dispreferred": (Ablated(40.3, 2.60), Ablated(39.9, 4.04), Ablated(37.9, 4.68)),
    "ADPA": (Ablated(50.0, 2.56), Ablated(50.0, 4.12), Ablated(50.0, 4.53)),
    "ADPA w/o reference teacher": (Ablated(31.6, 2.43), Ablated(36.6, 3.78), Ablated(46.2, 4.45)),
}

GRANULARITY: Mapping[str, Granularity] = {
    "DPPO[sequence]": Granularity("O(|A|^(T-t))", 27.7),
    "DPPO[token]": Granularity("O(|A|)", 40.0),
    "ADPA": Granularity("O(1)", 50.0),
}

Q_VARIANTS: Mapping[str, float] = {"Q-argmax KD": 41.8, "Q-softmax KD": 28.2, "ADPA": 50.0}

PAD_NUMBERS = ("lc_win_rate", "win_rate", "arena_hard", "mt_bench", "gsm8k")  # in the paper's order
PAD_LC: Mapping[str, float] = {"DPO": 43.77, "SimPO": 44.94, "PAD": 45.73}
