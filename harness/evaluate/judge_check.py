"""`bench judge check`: how good a judge is, on pairs whose better answer is known.

    verdicts.jsonl   {"pair": "Natural/12", "repeat": 0, "order": "ab", "value": 1.0, "reply": "..."}
    quality.json     {"n": 419, "agreement": {"value": 0.87, "n": 419}, ...}

The judge gets a pairwise benchmark's own prompt. What is found enters the tables of every run that this judge
has judged, from the same store.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic

from benchmarks.api import Unparsed
from benchmarks.judge_check import benchmark as judge_check
from harness.common.files import write_json_lines
from harness.evaluate import registry
from harness.evaluate.judgments import verdict
from harness.store.step import Ref, StepKind, Work


@dataclass(frozen=True)
class CheckSettings:
    """Who judges, with which comparison's prompt, how often each of the first `limit` pairs."""

    judge: Mapping[str, Any]
    prompt: str
    repeats: int
    limit: int | None


@dataclass(frozen=True)
class CheckInputs(Generic[Ref]):
    """Gold pairs; what the judge reads, where it reads anything."""

    data: Ref
    judge: Ref | None = None


def run(work: Work[CheckSettings, CheckInputs[Path]]) -> dict[str, Any]:
    """The step: the judge reads every pair in both orders, `repeats` times."""
    settings = work.settings
    gold = judge_check.load_gold(work.inputs.data)[: settings.limit]
    compare = registry.declared(settings.prompt, work.context.get("benchmark_file")).comparison
    assert compare, f"{settings.prompt} compares no two answers"
    benchmark = compare()
    requests = judge_check.requests(gold, benchmark, settings.repeats)
    ask = registry.judge_of(settings.judge, work.context).replies(
        settings.judge, work.context, work.inputs.judge
    )
    replies = ask([(r.request.messages, benchmark.decoding, r.repeat) for r in requests])
    verdicts, rows = [], []
    for check, reply in zip(requests, replies, strict=True):
        value = verdict(benchmark, check.request, reply).value
        verdicts.append(judge_check.Verdict(check.pair, check.repeat, check.request.order, value))
        number = None if isinstance(value, Unparsed) else value
        about = {"pair": check.pair.id, "repeat": check.repeat, "order": check.request.order}
        rows.append(about | {"value": number, "reply": reply.text})
    write_json_lines(work.out / "verdicts.jsonl", rows)
    (work.out / "quality.json").write_text(json.dumps(asdict(judge_check.report(verdicts)), indent=1))
    return {"calls": len(replies), "unparsed": sum(row["value"] is None for row in rows)}


JUDGE_CHECK = StepKind("judge-check", CheckSettings, CheckInputs, "harness.evaluate.judge_check:run")
