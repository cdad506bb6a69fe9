"""The two Open LLM Leaderboards as the registry has them: settings and columns.

How they are run and read is in harness/evaluate/openllm.py: lm-eval needs the model itself.
"""

from dataclasses import replace
from pathlib import Path

from pydantic import Field

from benchmarks.declaration import Benchmark, FrozenModelSettings, Presentation
from benchmarks.referee import Referee

FOLDER = Path(__file__).parent


class OpenLLMSettings(FrozenModelSettings):
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
    presentation=Presentation.described(FOLDER / "presentation.json", "openllm"),
    defaults={"tasks": ["v1"]},
    likelihoods=True,
    referee=Referee(
        "lm-eval",
        FOLDER / "referee.py",
        {
            "subjects alike": "the leaderboard averages MMLU's subjects; lm-eval weighs them by their sizes",
            "prompts and instructions": "the leaderboard's IFEval is the mean of the strict accuracies over "
            "prompts and over instructions; lm-eval has one for each",
        },
    ),
)
TWO = replace(
    ONE,
    name="openllm-v2",
    presentation=Presentation.described(FOLDER / "presentation.json", "openllm-v2"),
    defaults={"tasks": ["v2"]},
)
