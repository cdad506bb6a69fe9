"""The two Open LLM Leaderboards as the registry has them: settings and columns.

How they are run and read is in harness/evaluate/openllm.py: lm-eval needs the model itself.
"""

from pydantic import Field

from benchmarks.declaration import Benchmark, BenchmarkSettings, Column, Presentation, Tasks


class OpenLLMSettings(BenchmarkSettings):
    """lm-eval tasks: the YAML files of a folder, or lm-eval's own names on the data of a folder."""

    tasks: tuple[str, ...] = Field(min_length=1)
    include: str | None = None
    data: str | None = None
    num_fewshot: int | None = Field(None, ge=0)
    limit: int | None = Field(None, gt=0)
    batch_size: int = Field(64, gt=0)
    chat: bool = False


ONE = Benchmark(
    name="openllm",
    settings=OpenLLMSettings,
    metric="primary",
    presentation=Presentation(
        title="OpenLLM",
        columns=(Column("primary", "OpenLLM", "share", published={"adpa": "openllm"}, alignment_tax="cost"),),
        tasks=Tasks(
            titles={
                "arc_challenge": "ARC-Challenge",
                "gsm8k": "GSM8K",
                "hellaswag": "HellaSwag",
                "mmlu": "MMLU",
                "truthfulqa_mc2": "TruthfulQA",
                "winogrande": "Winogrande",
            },
            subtasks={"mmlu_": "mmlu"},
        ),
        length_of="prompt",
    ),
    defaults={"tasks": ["v1"]},
    likelihoods=True,
)
TWO = Benchmark(
    name="openllm-v2",
    settings=OpenLLMSettings,
    metric="primary",
    presentation=Presentation(
        title="OpenLLM v2",
        family="OpenLLM",
        columns=(
            Column(
                "average",
                "OpenLLM v2",
                "share",
                aggregate="summary",
                count="n",
                parts="normalised/",
                note="normalised as the leaderboard does, guessing is 0; no interval",
            ),
        ),
        tasks=Tasks(
            titles={
                "leaderboard_bbh": "bbh",
                "leaderboard_gpqa": "gpqa",
                "leaderboard_ifeval": "ifeval",
                "leaderboard_math_hard": "math_hard",
                "leaderboard_mmlu_pro": "mmlu_pro",
                "leaderboard_musr": "musr",
            }
        ),
        length_of="prompt",
    ),
    defaults={"tasks": ["v2"]},
    likelihoods=True,
)
