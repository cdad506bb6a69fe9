"""The numbers of ADPA's paper as they stand there: Gao et al., "Advantage-Guided Distillation for Preference
Alignment in Small Language Models", ICLR 2025 (arXiv 2502.17927).

    DPO_MIX_7K, HELPSTEER2  main table of the slides, which do not name its pair; by its OpenLLM it is
                            LLaMA-3.1-8B > LLaMA-3.2-1B

And of PAD, Gu et al., "Capturing Nuanced Preferences: Preference-Aligned Distillation for Small Language
Models", Findings of ACL 2025 (arXiv 2502.14272):

    PAD_NUMBERS             the numbers that it reports, in its order
    PAD_LC                  AlpacaEval 2, length-controlled, Gemma-2-9B-It > Gemma-2-2B-It: README of the
                            authors' code (EganGu/PAD). The paper's other tables were not at hand.

Win rates are AlpacaEval's, in percent, in the main table against ADPA; MT-Bench is a mean of ratings 1-10;
OpenLLM is the average of the Open LLM Leaderboard, in percent. Rows bear the names of our registry. ADPA's
Tables 2 (DPO-MIX-7K: Mistral-7B > Danube3-500M and Danube2-1.8B, LLaMA-2-13B > LLaMA-2-7B) and 3, and the
slides' table on distilling Q or the advantage, both of pairs not stated, stand in tables/ablations.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path

NUMBERS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
# Method -> number -> value, as the benchmarks' columns name it.
DPO_MIX_7K: Mapping[str, Mapping[str, float]] = NUMBERS["adpa"]["dpo-mix-7k"]
HELPSTEER2: Mapping[str, Mapping[str, float]] = NUMBERS["adpa"]["helpsteer2"]
PAD_NUMBERS: list[str] = NUMBERS["pad_numbers"]
PAD_LC: Mapping[str, float] = NUMBERS["pad_lc"]
