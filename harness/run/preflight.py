"""What is looked at before any work is done: data that cannot be read, judges that cannot judge.

Every fault is one ValueError line. Endpoints are asked one word; nothing else is spent.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.endpoints import client, servers, session
from harness.endpoints.client import Endpoint
from harness.evaluate import questions, registry
from harness.store.step import Part, Step


def check(missing: Sequence[Step]) -> None:
    """Look at what the steps that are to be done will need."""
    looked: set[str] = set()  # at what: rows of a table ask for the same
    for step in missing:
        data = [step.input_ids[name] for name in ("data", "include") if name in step.named_inputs]
        what = json.dumps([step.kind.name, step.settings_record, data], sort_keys=True)
        if what in looked:
            continue
        looked.add(what)
        if step.kind.name in ("answers", "judgments"):
            _questions(step)
        if step.kind.name == "openllm":
            _tasks(step)
    _endpoints(s for s in missing if "endpoint" in s.context)


def _outside(source: Step | Part) -> Path | None:
    """The folder of an input that lies outside the store; None for one that a step makes."""
    step = source.step if isinstance(source, Part) else source
    return Path(step.context["path"]) if step.kind.name == "link" else None


def _questions(step: Step) -> None:
    """The questions can be read, and so can answers that lie beside them."""
    folder = _outside(step.inputs["data"])
    if folder is None:
        return
    declared = registry.declared(step.settings["benchmark"], step.context.get("benchmark_file"))
    asked, _ = questions.load(declared, folder, step.settings)
    if model := step.settings.get("answers"):
        questions.stored(declared, folder, step.settings, model, asked)


def _tasks(step: Step) -> None:
    """The tasks are known, and their rows and packages are at hand."""
    from benchmarks.openllm import tasks

    include, data = (_outside(step.inputs[k]) if k in step.inputs else None for k in ("include", "data"))
    if "include" not in step.inputs or include:
        tasks.check(step.settings["tasks"], include, data, num_fewshot=step.settings["num_fewshot"])


def _endpoints(steps: Iterable[Step]) -> None:
    """Each endpoint answers, with log-probs where a benchmark's judge needs them."""
    wanted: dict[str, set[str]] = {}  # by endpoint: the benchmarks whose judges need log-probs
    for step in steps:
        where = json.dumps(step.context["endpoint"], sort_keys=True)
        asked = str(step.settings.get("benchmark") or step.settings.get("prompt"))
        needing = wanted.setdefault(where, set())
        if step.kind.name != "answers":
            declared = registry.declared(asked, step.context.get("benchmark_file"))
            needing |= {declared.name} if declared.logprobs else set()
    for text, logprobs in wanted.items():
        where = json.loads(text)
        engine = where.pop("engine", None)
        if engine is None:
            client.check(Endpoint(**where), session.current().ledger, logprobs=bool(logprobs))
        elif logprobs and not servers.gives_logprobs(engine):
            raise ValueError(
                f"{where['model']}: `{engine} serve` gives no log-probs, which the judge of "
                f"{', '.join(sorted(logprobs))} needs; serve it with vllm, or choose another judge"
            )
