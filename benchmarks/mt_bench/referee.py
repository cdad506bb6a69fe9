"""FastChat on an export of MT-Bench: `show_result`, and `run_judge_single` on the replies that were kept.

    python -I referee.py exports/mt-bench OUT

Imports nothing of ours (benchmarks/referee.py) but what a thought is. fschat 0.2.36 imports `anthropic`, and
through its models' adapters torch and transformers, for the calls that it makes; none is made here, so both
are stubs.
"""

import io
import json
import runpy
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from importlib import metadata
from itertools import combinations
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

TURNS = {1: "first_turn", 2: "second_turn"}
LOWEST, HIGHEST, NO_RATING = 1, 10, -1
DEPARTURES = ("out of range", "thoughts", "last rating")
# What is a thought is what we take for one, in a file that imports nothing else of ours.
without_thoughts = runpy.run_path(str(Path(__file__).parents[1] / "thoughts.py"))["without_thoughts"]


def main(folder: Path, out: Path) -> None:
    """Every judge's file of an export, added up by FastChat."""
    numbers = []
    for path in sorted(folder.glob("model_judgment/*_single.jsonl")):
        judge = path.name.removesuffix("_single.jsonl")
        means = shown(path)
        for (model, metric), value in means.items():
            numbers.append(number(model, judge, metric, value))
        numbers += read_again(path, judge)
    tool = f"fschat {metadata.version('fschat')}"
    out.write_text(json.dumps({"tool": tool, "notes": [], "numbers": numbers}))


def number(model: str, judge: str, metric: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {"row": model, "judge": judge, "reference": "", "metric": metric, "value": value} | more


def shown(path: Path) -> dict[tuple[str, str], float]:
    """(model, metric) -> what `show_result` prints, before it is printed with six digits."""
    from fastchat.llm_judge import show_result

    printed: list[Any] = []
    show_result.print = printed.append
    show_result.display_result_single(
        Namespace(input_file=str(path), bench_name="mt_bench", judge_model="", model_list=None)
    )
    first, second, average = (frame["score"] for frame in printed if not isinstance(frame, str))
    found = {(str(model), "score"): float(value) for model, value in average.items()}
    for turn, frame in ((1, first), (2, second)):
        found |= {(str(model), TURNS[turn]): float(value) for (model, _), value in frame.items()}
    return found


def read_again(path: Path, judge: str) -> list[dict[str, Any]]:
    """Each model's mean over the replies as FastChat reads them, and as it reads them by our rules."""
    replies: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            replies.setdefault(row["model"], []).append(row["judgment"])
    common, numbers = fastchat_common(), []
    for model, texts in replies.items():
        ways = [
            {"reasons": reasons, "value": value}
            for count in range(1, len(DEPARTURES) + 1)
            for reasons in combinations(DEPARTURES, count)
            if (value := mean([rating(common, text, *reasons) for text in texts])) is not None
        ]
        value = mean([rating(common, text) for text in texts])
        numbers.append(number(model, judge, "score", value, way="replies read again", by_design=ways))
    return numbers


def mean(ratings: list[float]) -> float | None:
    """As FastChat, over those that are there."""
    rated = [r for r in ratings if r != NO_RATING]
    return sum(rated) / len(rated) if rated else None


def rating(common: Any, text: str, *departures: str) -> float:
    """What FastChat reads in a reply, told to do as we do."""
    if "thoughts" in departures:
        text = without_thoughts(text)
    if "last rating" in departures:
        doubled = list(common.one_score_pattern.finditer(text))
        found = doubled or list(common.one_score_pattern_backup.finditer(text))
        text = text[found[-1].start() :] if found else text
    common.chat_completion_openai = lambda *_, **__: text
    value, *_ = common.run_judge_single(QUESTION, ANSWER, JUDGE, None)
    return NO_RATING if "out of range" in departures and not LOWEST <= value <= HIGHEST else float(value)


def fastchat_common() -> Any:
    """FastChat's judging, without the libraries of models and of providers."""
    adapter: Any = ModuleType("fastchat.model.model_adapter")
    adapter.ANTHROPIC_MODEL_LIST, adapter.OPENAI_MODEL_LIST = (), (JUDGE.model_name,)
    adapter.get_conversation_template = lambda _: Conversation()
    adapter.load_model = adapter.add_model_args = None
    sys.modules["fastchat.model.model_adapter"] = adapter
    sys.modules.setdefault("anthropic", ModuleType("anthropic"))
    from fastchat.llm_judge import common

    return common


class Conversation:
    """What a judge would be sent: it is not."""

    roles = ("user", "assistant")

    def set_system_message(self, text: str) -> None: ...

    def append_message(self, role: str, text: str | None) -> None: ...


QUESTION = {"turns": [""]}
ANSWER = {"choices": [{"turns": [""]}]}
JUDGE = SimpleNamespace(
    model_name="kept",
    prompt_template={"prompt_template": "", "system_prompt": "", "output_format": "[[rating]]"},
)

if __name__ == "__main__":
    with redirect_stdout(io.StringIO()):
        main(Path(sys.argv[1]), Path(sys.argv[2]))
