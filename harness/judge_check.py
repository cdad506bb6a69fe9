"""`bench judge check`: how good a judge is, on pairs whose better answer is known.

    verdicts.jsonl   {"pair": "Natural/12", "repeat": 0, "order": "ab", "value": 1.0, "reply": "..."}
    quality.json     {"n": 419, "agreement": {"value": 0.87, "low": 0.83, "high": 0.9, "n": 419}, ...}

The judge gets a pairwise benchmark's own prompt. What is found enters the tables of every run that this judge
has judged, from the same store.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import alpaca_eval, judge_check
from benchmarks.api import Reply, Unparsed
from harness import benchmark_data, judges, questions
from harness.asking import asking
from harness.setting import Setting, slug
from harness.store import Step, Store, Work
from harness.suite import Suite
from reports.records import JudgeCheck

GOLD = "llmbar"
KIND = "judge-check"


def step_of(
    setting: Setting, judge: str, prompt: str, data: str | None, repeats: int, limit: int | None
) -> Step:
    """The step that checks a judge of the suite with a benchmark's prompt."""
    who = judges.of(setting, judge)
    settings = {"judge": who.settings, "prompt": prompt, "repeats": repeats, "limit": limit}
    gold = setting.folder(data or str(benchmark_data.find(GOLD)), "data")
    label, context = f"check of {judge} with {prompt}", {**setting.how, **who.context}
    inputs = {"data": gold, **who.inputs}
    return Step(KIND, slug(label), label, settings, inputs, "harness.judge_check:run", context=context)


def run(work: Work) -> dict[str, Any]:
    """The step: the judge reads every pair in both orders, `repeats` times."""
    settings = work.settings
    gold = judge_check.load_gold(work.inputs["data"])[: settings["limit"]]
    benchmark = alpaca_eval.comparison(questions.EVALUATORS[settings["prompt"]], "both")
    requests = judge_check.requests(gold, benchmark, settings["repeats"])
    said = asking(work)([(r.request.messages, benchmark.decoding, r.repeat) for r in requests])
    verdicts, rows = [], []
    for one, given in zip(requests, said, strict=True):
        value = benchmark.parse(one.request, Reply(given.text, given.logprobs, given.finish_reason))
        verdicts.append(judge_check.Verdict(one.pair, one.repeat, one.request.order, value))
        told = None if isinstance(value, Unparsed) else value
        about = {"pair": one.pair.id, "repeat": one.repeat, "order": one.request.order}
        rows.append(about | {"value": told, "reply": given.text})
    (work.out / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (work.out / "quality.json").write_text(json.dumps(asdict(judge_check.report(verdicts)), indent=1))
    return {"calls": len(said), "unparsed": sum(row["value"] is None for row in rows)}


def found(suite: Suite, setting: Setting, store: Store) -> list[JudgeCheck]:
    """What the store knows of the suite's judges, the latest word of each prompt being that on most pairs."""
    rows = []
    for name in suite.judges:
        who = judges.of(setting, name).settings
        of_judge = [r for r in store.records(KIND) if r["settings"]["judge"] == who]
        for prompt in sorted({r["settings"]["prompt"] for r in of_judge}):
            known = [_quality(store, r) for r in of_judge if r["settings"]["prompt"] == prompt]
            rows.append(_row(suite.name, name, prompt, max(known, key=lambda q: (q["n"], q["verdicts"]))))
    return rows


def _quality(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    (folder,) = (store.root / KIND).glob(f"*-{record['id']}")
    return dict(json.loads((Path(folder) / "quality.json").read_text()))


def _row(suite: str, judge: str, prompt: str, quality: dict[str, Any]) -> JudgeCheck:
    agreement, consistent = quality["agreement"] or {}, quality["consistent"] or {}
    return JudgeCheck(
        suite=suite,
        judge=judge,
        prompt=prompt,
        pairs=quality["pairs"],
        n=quality["n"],
        agreement=agreement.get("value"),
        low=agreement.get("low"),
        high=agreement.get("high"),
        consistent=consistent.get("value"),
        first_slot_rate=quality["first_slot_rate"],
        repeat_noise=quality["repeat_noise"],
        flips=quality["flips"],
        kappa=quality["kappa"],
        unparsed=quality["unparsed"],
        verdicts=quality["verdicts"],
    )
