"""The pages of the docs: their blocks, and the commands in them."""

import re
import shlex
from pathlib import Path

from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT, TINY

WORDS = "abcdefghij"


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.S)


def commands(name: str) -> list[list[str]]:
    """The lines of a page, those that end in a backslash with the next; "#" inside a word (URL#MODEL) is no
    comment.
    """
    lines = "".join(blocks(name, "bash")).replace("\\\n", " ").splitlines()
    typed = [shlex.split(re.sub(r"(^|\s+)# .*", "", line)) for line in lines]
    return [words for words in typed if words]


def furnish(desk: Path) -> None:
    """What the pages say that one has: two models, data of each kind, a suite."""
    for seed, who in enumerate(("teacher", "student")):
        tiny_folder(desk / "models" / who, seed=seed)
    data = desk / "data"
    for folder in ("llmbar", "words", "openllm"):
        (data / folder).mkdir(parents=True)
    pairs = [{"prompt": f"{v} {w}", "chosen": "x y", "rejected": "z"} for v in WORDS for w in "klmnop"]
    write_rows(data / "pairs.jsonl", pairs)
    marked = [
        {side: f"\n\nHuman: {row['prompt']}\n\nAssistant: {row[side]}" for side in ("chosen", "rejected")}
        for row in pairs
    ]
    write_rows(data / "hh.jsonl", marked[:52])
    write_rows(data / "held-out.jsonl", marked[52:])
    alpaca = [f'{{"instruction": "{row["prompt"]}", "output": "{row["chosen"]}"}}' for row in pairs]
    (data / "alpaca.json").write_text(f"[{', '.join(alpaca)}]")
    (data / "llmbar" / "Natural.json").write_text(f"[{blocks('docs/own-judge.md', 'json')[0]}]")
    (data / "words" / "questions.jsonl").write_text(blocks("docs/own-benchmark.md", "json")[0])
    (suite,) = blocks("docs/own-method.md", "yaml")
    (desk / "my_suite.yaml").write_text(suite.replace("extends: pocket", f"extends: {TINY}"))
    for name, topic in (("hinge", "method"), ("brief", "benchmark"), ("brevity", "judge")):
        (source,) = blocks(f"docs/own-{topic}.md", "python")
        (desk / f"{name}.py").write_text(source)
