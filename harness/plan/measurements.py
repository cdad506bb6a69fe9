"""The rows of a plan, and the steps that measure each, benchmark by benchmark."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from benchmarks.api import Sampling
from benchmarks.declaration import BASELINE, ComparedSettings
from harness.common import hub
from harness.common.suggest import nearest
from harness.endpoints.wire import BENCHMARKS
from harness.evaluate import benchmark_files
from harness.evaluate.answers import (
    BY_CONTROL,
    BY_ENDPOINT,
    BY_MODEL,
    STORED,
    AnswerInputs,
    AnswerSettings,
    ModelAnswers,
)
from harness.evaluate.judges import EndpointJudge, where_of
from harness.evaluate.judgments import JUDGMENTS as JUDGMENTS_KIND
from harness.evaluate.judgments import JudgmentInputs, JudgmentSettings
from harness.evaluate.questions import JUDGMENTS
from harness.models.prepare import LINK
from harness.plan import judges, signal_steps
from harness.plan.context import PlanContext
from harness.plan.lineage import Lineage
from harness.signals.kinds import SignalSettings
from harness.store.step import Part, Source, Step
from harness.suite import extension_file
from harness.suite.benchmarks import ASKED, ExternalModel
from harness.suite.loading import configured
from harness.suite.measurement import Chosen, Measures, NotRun
from harness.suite.schema import STUDENT, TEACHER
from harness.train.select_checkpoint import SELECT

NO_JUDGE = {"kind": "none"}  # the benchmark's own rule reads the answers


@dataclass(frozen=True)
class Cell:
    """One row: what answers, the steps that measure it by benchmark, and why a benchmark has none.

    `world_seed` drove all before its last stage. `source` is a checkpoint, or what answers without one;
    `lineage` is None for a row that was not trained here; `rows` are the names of all rows, and `done` says
    what the store holds. `failed`: what left a benchmark, or with "" the whole row, without a number.
    """

    pair: str
    dataset: str
    method: str
    world_seed: int
    seed: int
    source: Step | ExternalModel
    setting: PlanContext
    lineage: Lineage | None
    rows: frozenset[str]
    done: Callable[[Step], bool]
    failed: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _found(self) -> Mapping[str, Measures | NotRun]:
        """By benchmark its steps, or why there are none."""
        by_benchmark: dict[str, Measures | NotRun] = {}
        for name, chosen in self.setting.suite.benchmarks.chosen.items():
            try:
                by_benchmark[name] = judges.measures(self.setting.suite, chosen, self, self.failed)
            except NotRun as reason:
                by_benchmark[name] = reason
        return by_benchmark

    @cached_property
    def measures(self) -> dict[str, dict[str, Step]]:
        """By benchmark the steps that measure the row."""
        return {
            name: {key: step for key, step in steps.items() if isinstance(step, Step)}
            for name, steps in self._found.items()
            if not isinstance(steps, NotRun)
        }

    @cached_property
    def missing(self) -> dict[tuple[str, str], str]:
        """By benchmark and reference why there is no number; reference "" where there is none at all."""
        reasons: dict[tuple[str, str], str] = {}
        for name, steps in self._found.items():
            unavailable = {"": steps} if isinstance(steps, NotRun) else steps
            for key, why in unavailable.items():
                if isinstance(why, NotRun):
                    reasons[name, key.partition(".")[2]] = str(why)
        return reasons

    @property
    def model(self) -> Step:
        """The checkpoint of a row; NotRun where it has none."""
        if isinstance(self.source, Step):
            return self.source
        raise NotRun("no checkpoint: it answers by itself")

    @property
    def trained(self) -> Lineage:
        """The lineage of a row; NotRun where it was not trained here."""
        if self.lineage is None:
            raise NotRun("not trained here")
        return self.lineage

    @property
    def start(self) -> Step:
        """The model before its preference stages: the SFT teacher for the Teacher, else the Student."""
        lineage = self.trained
        if self.method == STUDENT:
            raise NotRun("the Student is its own reference")
        model = lineage.teacher_ref if self.method == TEACHER else lineage.student
        if model.id == self.model.id:
            raise NotRun("the suite has no DPO stage for the teacher")
        return model

    @property
    def teacher(self) -> Step:
        """The aligned teacher."""
        return self.trained.teacher

    @property
    def teacher_ref(self) -> Step:
        """The teacher before its preference stage."""
        return self.trained.teacher_ref

    @property
    def held_out(self) -> Step:
        """The held-out pairs of its data set."""
        return self.trained.validation_pairs

    @property
    def teacher_dtype(self) -> str:
        return self.setting.suite.teacher_dtype

    @property
    def chat_template(self) -> str | None:
        return self.setting.suite.chat_template

    @property
    def runtime(self) -> dict[str, Any]:
        return self.setting.runtime

    def folder(self, path: str) -> Source:
        """A data folder from outside, or of the generated world."""
        return self.setting.data(path)

    def judged(self, chosen: Chosen, answers_to: Chosen | None = None) -> Measures:
        """Its answers and their judgments, one for each row that they are compared with."""
        answers = self._answers(answers_to or chosen, self.source)
        if not isinstance(chosen.settings, ComparedSettings):
            return {"answers": answers, JUDGMENTS: self._judgments(chosen, answers)}
        measures: dict[str, Step | NotRun] = {"answers": answers}
        for row in chosen.settings.reference:
            compared = self._answers(chosen, self._reference(chosen, row))
            available = row in {*self.rows, BASELINE} or self.done(compared)
            measures[f"{JUDGMENTS}.{row}"] = (
                self._judgments(chosen, answers, row, compared)
                if available
                else NotRun(f"no answers of the reference {row}")
            )
        return measures

    def _answers(self, chosen: Chosen, source: Step | ExternalModel) -> Step:
        """The answers of a checkpoint, or of what answers without one, to a benchmark's questions."""
        setting, suite, name = self.setting, self.setting.suite, chosen.declaration.name
        settings = partial(AnswerSettings, name, options=_options(chosen))
        inputs = AnswerInputs[Source](self._data(chosen))
        context = {**setting.runtime, **_context(chosen)}
        label = f"{chosen.name} answers of"
        if isinstance(source, Step):
            base = source.context["path"] if source.kind == LINK else self.trained.models.student.base
            thinks = "thoughts" in chosen.settings.unset() and setting.thinks(base)
            model_answers = ModelAnswers(suite.chat_template, self.seed, thinks, suite.generation.decoder)
            inputs, context = replace(inputs, model=source), setting.answering | context
            return BY_MODEL.step(f"{label} {source.label}", settings(model=model_answers), inputs, context)
        if source.url:
            identity: dict[str, Any] = {"model": source.model, "seed": self.seed}
            if source.temperature != BENCHMARKS:
                identity["temperature"] = source.temperature
            asked = source.model_dump(include=set(ASKED))
            endpoint = EndpointJudge(model=source.model or "", base_url=source.url, **asked)
            context |= {"endpoint": where_of(endpoint)}
            identity = setting.endpoints.identified(identity, context["endpoint"])
            return BY_ENDPOINT.step(f"{label} {source.model}", settings(endpoint=identity), inputs, context)
        if source.control:
            control = settings(control=source.control)
            return BY_CONTROL.step(f"{label} {source.control}", control, inputs, context)
        return STORED.step(f"{label} {source.answers}", settings(answers=source.answers), inputs, context)

    def _judgments(
        self, chosen: Chosen, answers: Step, against: str = "", compared: Step | None = None
    ) -> Step:
        """What a judge says of answers; where nobody judges, the benchmark's own rule reads them."""
        parts = judges.JudgeParts(NO_JUDGE, None, {})
        label = f"{chosen.name} of {self.method}"
        if judge := chosen.settings.judged_by():
            parts = judges.judge_parts(self.setting, judge)
            against = against and f" against {against}"
            label = f"{chosen.name} judgments of {self.method}{against} by {judge}"
        settings = JudgmentSettings(chosen.declaration.name, parts.settings, _options(chosen, judging=True))
        inputs = JudgmentInputs[Source](answers, self._data(chosen), parts.reads, compared)
        context = {**self.setting.runtime, **parts.context, **_context(chosen)}
        return JUDGMENTS_KIND.step(label, settings, inputs, context)

    def _data(self, chosen: Chosen) -> Source:
        source = chosen.declaration.data_set
        if path := chosen.settings.data:
            return self.folder(path)
        if source is None:
            raise ValueError(f"benchmarks.{chosen.name}.data: missing; it has no data set of its own")
        return self.folder(hub.stand_in(source.name, lambda: str(benchmark_files.find(source))))

    def _reference(self, chosen: Chosen, row: str) -> Step | ExternalModel:
        """What a comparison is with: a row of the suite, or the benchmark's own baseline."""
        setting = self.setting
        if row == BASELINE:
            return ExternalModel(answers=BASELINE)
        if row in setting.suite.models:
            return outside(setting, row)
        known = [*setting.suite.models, BASELINE]
        if self.lineage is None and row in {*setting.registry, TEACHER, STUDENT}:
            raise NotRun(f"the reference {row} is trained for another pair of models")
        if self.lineage is None or row not in {*setting.registry, TEACHER, STUDENT}:
            known += [TEACHER, STUDENT, *setting.suite.methods]
            raise ValueError(f"benchmarks.{chosen.name}.reference: no row {row!r}; {nearest(row, known)}")
        return self.lineage.result(row, self.seed)

    def log_probs(self, model: Step, name: str, sequences: Source, dtype: str = "float32") -> Step:
        """Realised log-probs of a set of sequences."""
        return signal_steps.signals(self.setting, model, name, sequences, SignalSettings("logps", dtype))

    def greedy(self, max_tokens: int) -> Step:
        """Greedy answers to the held-out prompts."""
        prompts, greedy = Part(self.held_out, "chosen"), Sampling(0.0, 1.0, max_tokens)
        return self.trained.rollouts(self.model, prompts, greedy)

    def rewards(self, model: str, responses: Source, name: str, dtype: str, key: str = "model") -> Step:
        """What a reward model says of responses to the held-out prompts; `key` of the suite names it."""
        step = self.setting.model(model, key)
        return signal_steps.rewards(self.setting, step, responses, name, *self._held_out_prompts, dtype)

    @property
    def _held_out_prompts(self) -> tuple[Step, Step]:
        """The pairs that prompts are of, and the model whose tokenizer made them."""
        return self.held_out, self.trained.base("student")

    def selection_curve(self) -> dict[str, Step]:
        """The selected checkpoint, the rewards of all, and those of the data's chosen responses."""
        selection = self.setting.suite.selection
        if selection is None or self.model.kind != SELECT:
            return {}
        on_the_way = {n: s for n, s in self.model.sources.items() if n.startswith("rewards.")}
        chosen, name = Part(self.held_out, "chosen"), "validation chosen"
        curve = self.rewards(selection.model, chosen, name, selection.dtype, "selection.model")
        return {"selected": self.model, "curve": curve} | on_the_way

    def objective(self) -> Step | None:
        """The method's own loss on the held-out pairs, with rollouts and signals of their own."""
        lineage, setting = self.trained, self.setting
        if self.method in (TEACHER, STUDENT):
            return None
        method = setting.registry[self.method]
        hp, _ = configured(setting.suite, method)
        inputs = lineage.views(method, hp, lineage.start(self.method, self.seed), lineage.validation_pairs)
        inputs = replace(inputs, after=self.model)
        return setting.objective(self.model.label, method, hp, self.seed, inputs)


def outside(setting: PlanContext, name: str) -> Step | ExternalModel:
    """What answers for a row of the suite's `models`: a checkpoint as a step, or what needs none."""
    spec = setting.suite.models[name]
    if spec.path is None:
        return spec
    return setting.model(spec.path, f"models.{name}.path")


def _options(chosen: Chosen, judging: bool = False) -> dict[str, Any]:
    """What of a benchmark's settings decides its answers or, with `judging`, what is made of them.

    Where data lie, who judges and what is compared are inputs and settings of their own.
    """
    elsewhere = {"data", "judge", "reference", *(() if judging else chosen.declaration.judging)}
    left_out = elsewhere | chosen.settings.unset()
    settings: dict[str, Any] = chosen.settings.model_dump(mode="json", exclude=left_out)
    file = {"file": extension_file.digest(chosen.benchmark.file)} if chosen.benchmark.file else {}
    # Left out where it is the first, so that ids from before there was another hold.
    revised = judging and chosen.declaration.revision > 1
    return settings | file | ({"revision": chosen.declaration.revision} if revised else {})


def _context(chosen: Chosen) -> dict[str, str]:
    """Where a worker finds a declaration that is not of this tree, and what the suite calls the benchmark."""
    file = {"benchmark_file": chosen.benchmark.file} if chosen.benchmark.file else {}
    return file | ({"benchmark_name": chosen.name} if chosen.name != chosen.declaration.name else {})
