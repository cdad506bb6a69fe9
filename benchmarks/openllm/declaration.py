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
    """Names of tasks: lm-eval's own, those of a folder, or `v1`, `v2` for a leaderboard's."""
    include: str | None = Field(None, min_length=1)
    """A folder with tasks of your own, as lm-eval's YAML; or `world/...`."""
    data: str | None = Field(None, min_length=1)
    """A folder with the leaderboards' rows; the hub's, if absent."""
    num_fewshot: int | None = Field(None, ge=0)
    """Examples before each question; the leaderboard's or the task's own number, if absent."""
    limit: int | None = Field(None, gt=0)
    """The first so many questions of each task; all, if absent."""
    batch_size: int = Field(64, gt=0)
    """Requests computed together; changes no number but for rounding."""
    chat: bool = False
    """Whether requests go through the chat template."""


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
