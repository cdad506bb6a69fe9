"""What is looked at before any work is done: data that cannot be read, models that lack weights, judges that
cannot judge.

Every fault is one ValueError line. Endpoints are asked one word; nothing else is spent.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from benchmarks.declaration import Benchmark
from harness.common.input import weight_files
from harness.common.tokenizer import load_config
from harness.data.chat_format import TOKENIZER
from harness.data.prepare import DialogueSettings, PairSettings
from harness.endpoints.servers import ENGINE, program_of, server_of
from harness.evaluate import questions, registry
from harness.evaluate.answers import AnswerSettings
from harness.evaluate.judge_noise.repeats import RepeatSettings
from harness.evaluate.judges import OPENAI
from harness.evaluate.judgments import JudgmentSettings
from harness.evaluate.openllm import TASKS, TaskInputs, TaskSettings
from harness.models import lora, positions, weights
from harness.models.prepare import INIT, LINK, TRUSTED
from harness.run.checks import benchmark_checks, chat_checks, method_checks, world_checks
from harness.run.data_counts import folder_at, tokenizer_at
from harness.signals.kinds import REWARDS
from harness.store.step import Part, Source, Step
from harness.suite.judging import JudgeKind
from harness.train.costs import TrainSettings
from harness.train.placing import accelerate_file
from methods.api import LoRA


def check(missing: Sequence[Step]) -> list[str]:
    """Look at what the steps that are to be done will need; what is to be told of what may be done."""
    benchmark_checks.check(missing, lambda data: _outside(data) or world_checks.folder(data))
    looked: set[str] = set()  # rows of a table read the same data, and a look at them takes seconds
    turns: dict[str, int] = {}
    for step in missing:
        what = _what(step)
        if what in looked:
            continue
        looked.add(what)
        settings = step.settings
        if isinstance(settings, RepeatSettings):
            settings = settings.judgments
        if isinstance(settings, AnswerSettings | JudgmentSettings):
            turns[what] = _questions(step, settings)
        if step.kind is TASKS:
            _tasks(step)
    _folders(missing)
    _servers(missing)
    _adapters(missing)
    _optimizers(missing)
    _launches(missing)
    chat_checks.check(missing)
    _spoken(missing, turns)
    method_checks.check(missing)
    notes = [*method_checks.notes(missing)]
    # Endpoints last, since they are the only ones that cost something.
    _endpoints(s for s in missing if "endpoint" in s.context)
    return notes


def _what(step: Step) -> str:
    """What a step reads of data, and how."""
    data = [step.input_ids[name] for name in ("data", "include") if name in step.named_inputs]
    return json.dumps([step.kind.name, step.settings_record, data], sort_keys=True)


def _spoken(missing: Sequence[Step], turns: Mapping[str, int]) -> None:
    """Models can be asked the questions that they answer; `turns`: the most turns of one, by `_what`."""
    asked: set[tuple[str, str, str | None, int]] = set()
    for step in missing:
        settings = step.settings
        if not isinstance(settings, AnswerSettings) or settings.model is None:
            continue
        if not (most := turns.get(_what(step), 0)):
            continue
        origin, template = _origin(step.inputs.model, "tokenizer"), settings.model.template
        trained = _origin(step.inputs.model)
        tokenizer, key = tokenizer_at(origin), (origin.id, trained.id, template, most)
        if tokenizer is None or key in asked:
            continue
        asked.add(key)
        try:
            chat_checks.check_asked(tokenizer, template, most, folder_at(trained))
        except ValueError as fault:
            raise ValueError(f"{_name(step)}: {fault}") from fault


def _name(step: Step[AnswerSettings, Any] | Step[JudgmentSettings, Any]) -> str:
    return f"benchmarks.{step.context.get('benchmark_name', step.settings.benchmark)}"


def _outside(source: Step | Part) -> Path | None:
    """The folder of an input that lies outside the store; None for one that a step makes."""
    step = source.step if isinstance(source, Part) else source
    return Path(step.context["path"]) if step.kind == LINK else None


def _models(step: Step) -> list[Path]:
    """The local folders of models that a step reads or links to."""
    links = [s for s in (step, *step.sources.values()) if s.kind == LINK and s.settings.kind == "model"]
    return [folder for s in links if (folder := Path(s.context["path"])).is_dir()]


def _folders(missing: Sequence[Step]) -> None:
    """Local models have all weights of what they are read as, and take sequences as long as is asked."""
    found = dict.fromkeys(
        (folder, step.kind == REWARDS and name == "model", bool(source.context.get(TRUSTED)))
        for step in missing
        for name, source in step.sources.items()
        if source.kind == LINK
        for folder in _models(source)
    )
    for folder, scores, trusted in found:
        weights.check(folder, scores, trusted=trusted)
    # What the store links to already has been looked at: its id holds a hash of the files.
    for step in missing:
        for folder in _models(step) if step.kind == LINK else ():
            weight_files.check_values(folder)
    for step in missing:
        if isinstance(step.settings, DialogueSettings | PairSettings):
            for folder in _models(step):
                positions.check_length(folder, step.settings.max_length)


def _servers(missing: Sequence[Step]) -> None:
    """What starts the servers of the steps, judges' and others', is installed."""
    for step in missing:
        if server := server_of(step.context):
            program_of(server[ENGINE])


def _adapters(missing: Sequence[Step]) -> None:
    """Adapters can stand on the layers that a training names, where the model's config is at hand."""
    asked: set[tuple[str, LoRA]] = set()
    for step in missing:
        training = step.settings.training if isinstance(step.settings, TrainSettings) else None
        origin = _origin(step)
        if training is None or training.lora is None or (origin.id, training.lora) in asked:
            continue
        asked.add((origin.id, training.lora))
        from transformers import LlamaConfig  # seconds, and few runs have adapters

        try:
            if origin.kind == INIT:
                lora.check(LlamaConfig(num_hidden_layers=1), training.lora)  # it draws Llamas alone
            for folder in _models(origin):
                lora.check(load_config(folder), training.lora)
        except ValueError as fault:
            raise ValueError(f"{step.label}: {fault}") from fault


def _optimizers(missing: Sequence[Step]) -> None:
    """What the optimizers of trainings are made of is installed."""
    for step in missing:
        training = step.settings.training if isinstance(step.settings, TrainSettings) else None
        if training and training.optimizer == "adamw8bit" and find_spec("torchao") is None:
            raise ValueError(
                f"{step.label}: optimizer: adamw8bit: needs torchao; pip install 'prefbench[8bit]'"
            )


def _launches(missing: Sequence[Step]) -> None:
    """Trainings can be run by the accelerate config file that is named, and by accelerate's variables."""
    if any(isinstance(step.settings, TrainSettings) for step in missing):
        accelerate_file.check_flags(os.environ)
    if file := next((f for s in missing if (f := s.context.get("accelerate_config"))), None):
        accelerate_file.read(Path(file))


def _origin(step: Step, of: Literal["model", "tokenizer"] = "model") -> Step:
    """The link or the drawn weights that a model was first trained from, or that its tokenizer is from."""
    name = of if step.kind == TOKENIZER else "start" if "start" in step.sources else "trained"
    before = step.sources.get(name)
    return _origin(before, of) if before else step


def _questions(step: Step, settings: AnswerSettings | JudgmentSettings) -> int:
    """The questions can be read, and so can answers that lie beside them; the most turns of one."""
    folder = _outside(step.inputs.data) or world_checks.folder(step.inputs.data)
    if folder is None:
        return 0
    declared = registry.declared(settings.benchmark, step.context.get("benchmark_file"))
    try:
        asked, _ = questions.load(declared, folder, settings.options)
        if isinstance(settings, AnswerSettings) and settings.answers:
            questions.stored(declared, folder, settings.options, settings.answers, asked)
    except ValueError as fault:
        raise ValueError(f"{_name(step)}: {world_checks.told(fault)}") from fault
    return max(len(question.turns) for question in asked)


def _tasks(step: Step[TaskSettings, TaskInputs[Source]]) -> None:
    """The tasks are known, their packages are at hand, and their rows too, which can be asked."""
    from benchmarks.openllm import documents, tasks

    settings, inputs = step.settings, step.inputs
    include, data = (_outside(source) if source else None for source in (inputs.include, inputs.data))
    if inputs.include and not include:
        include = world_checks.folder(inputs.include)
        known = {file.stem for file in include.glob("*.yaml")} if include else set[str]()
        # The world's own tasks are as they should be, and lm-eval takes seconds to look.
        if include is None or {*settings.tasks} <= known:
            return
        if include.is_dir() and not known:
            raise ValueError("include: no tasks right there; those of the world are in world/test/openllm")
    try:
        tasks.check(settings.tasks, include, data, num_fewshot=settings.num_fewshot)
        documents.check(settings.tasks, include, data, settings.limit)
    except ValueError as fault:
        raise ValueError(world_checks.told(fault)) from fault


def _endpoints(steps: Iterable[Step]) -> None:
    """Each endpoint answers, and each judge can give what the benchmarks read of its replies."""
    asked: dict[str, tuple[JudgeKind, Mapping[str, Any], dict[str, Benchmark]]] = {}
    for step in steps:
        where, settings = step.context["endpoint"], step.settings_record
        judge = settings.get("judge")
        # What answers for a row of `models` is asked in OpenAI's form as well.
        kind = registry.judge_of(judge, step.context) if judge else OPENAI
        one = asked.setdefault(json.dumps([kind.name, where], sort_keys=True), (kind, where, {}))
        if judge:
            name = str(settings.get("benchmark") or settings.get("prompt"))
            declared = registry.declared(name, step.context.get("benchmark_file"))
            one[2].update({name: declared} if declared.logprobs else {})
    for kind, where, needing_logprobs in asked.values():
        kind.check(where, [needing_logprobs[name] for name in sorted(needing_logprobs)])
