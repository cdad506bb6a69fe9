"""The smallest prompts that a judge of MT-Bench can be asked with."""

from pathlib import Path

from benchmarks.mt_bench.benchmark import PROMPTS
from tests.benchmarks.openllm.small_tasks import write_rows

SINGLE = "[[rating]] {question} {answer}"
MULTI = "[[rating]] {question_1} {answer_1} {question_2} {answer_2}"


def write(folder: Path) -> None:
    """judge_prompts.jsonl of a folder of questions."""
    rows = [(name, MULTI if name.endswith("multi-turn") else SINGLE) for name in PROMPTS]
    prompts = [{"name": name, "system_prompt": "", "prompt_template": template} for name, template in rows]
    write_rows(folder / "judge_prompts.jsonl", prompts)
