"""The models of one teacher-student pair on one data set, as steps: every stage, rollout and signal once.

base -> sft -> dpo                    the teacher; the SFT teacher is its reference
base -> sft -> a method's last stage  the student
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import methods
from benchmarks.api import Sampling
from harness.data.chat_format import TOKENIZER, Format, differences, format_of_world
from harness.data.prepare import DIALOGUES, MISMATCHED, PAIRS, TEXT
from harness.models.prepare import INIT
from harness.plan import signal_steps
from harness.plan.context import PlanContext
from harness.store.step import Part, Source, Step
from harness.suite.loading import configured, placement, rollouts_of
from harness.suite.parts.data import ChatData, Data, Dataset
from harness.suite.parts.models import Architecture, ModelPair, Student
from harness.suite.schema import STUDENT, TEACHER
from harness.suite.training import Placement, TrainingSpec
from harness.train.costs import TrainInputs
from methods.api import Method, Needs, Rollouts, Training
from methods.batch import StoredView, ViewName

STAGE = Training(lr=2e-5, epochs=3, batch_size=128, source="release: ADPA, student_sft_init.yaml")


@dataclass(frozen=True)
class Lineage:
    """The models of one pair on one data set; `world_seed` drives all of them but the last stage."""

    setting: PlanContext
    pair: str
    dataset: str
    models: ModelPair
    data: Dataset
    world_seed: int

    def base(self, who: str) -> Step:
        """The base model of "teacher" or "student"; a teacher that would be spoken to otherwise than the
        student has the student's tokenizer, chat template and end tokens.
        """
        own = self._own_base(who)
        if who == "student" or not self.format_differences:
            return own
        called = {name: self._called(name) for name in ("student", "teacher")}
        context = {**self.setting.runtime, **called, "differs": self.format_differences}
        inputs = TOKENIZER.inputs(own, self._own_base("student"))
        label = f"{own.label} with the student's tokenizer"
        return TOKENIZER.step(label, TOKENIZER.settings(), inputs, context, name=own.slug)

    @cached_property
    def format_differences(self) -> list[str]:
        """What of how the teacher is spoken to is not as the student's; nothing where nobody here knows."""
        teacher, student = self._format("teacher"), self._format("student")
        return differences(student, teacher) if teacher and student else []

    def _format(self, who: str) -> Format | None:
        """How a base model is spoken to: of a hub id where its small files are to be had."""
        base, template = self._spec(who).base, self.setting.suite.chat_template
        if isinstance(base, Architecture):
            # Two models of the world have one tokenizer, which need not be made to know that.
            alike = all(isinstance(self._spec(one).base, Architecture) for one in ("teacher", "student"))
            return None if alike else format_of_world(template)
        return self.setting.chat_format(base)

    @property
    def format_line(self) -> str:
        """One line on what of the teacher is used as the student has it; "" where nothing is."""
        if not self.format_differences:
            return ""
        return (
            f"teacher {self._called('teacher')}: other {', '.join(self.format_differences)} than student "
            f"{self._called('student')}: both are spoken to as the student is"
        )

    def _spec(self, who: str) -> Student:
        return self.models.teacher if who == "teacher" else self.models.student

    def _own_base(self, who: str) -> Step:
        """A base model as it is: from outside, or pretrained from scratch on the world's text."""
        spec = self._spec(who)
        if isinstance(spec.base, str):
            return self.setting.model(spec.base, f"pairs.{self.pair}.{who}.base")
        return self._pretrained(who, spec.base, spec.pretrain or TrainingSpec())

    def _pretrained(self, who: str, size: Architecture, spec: TrainingSpec) -> Step:
        suite, tokenizer = self.setting.suite, Part(self.setting.world(), "tokenizer")
        # Twice the longest sequence: answers to held-out questions may be longer than what was trained on.
        settings = INIT.settings(**size.model_dump(), positions=suite.max_length * 2, seed=self.world_seed)
        start = INIT.step(f"init {who}", settings, INIT.inputs(tokenizer), name=who)
        # The pretraining text states the facts that are held out as questions, so it has no split.
        inputs = TEXT.inputs(self.setting.world(), tokenizer)
        text = TEXT.step("pretraining text", TEXT.settings("pretrain.jsonl"), inputs, name="pretrain")
        return self._stage(f"pretrain {who}", spec, start, text)

    def _stage(self, label: str, spec: TrainingSpec, start: Step, sequences: Step) -> Step:
        inputs = TrainInputs[Source](start, {"chosen": sequences})
        method = self.setting.registry["SFT"]
        return self.setting.train(
            label,
            method,
            method.hparams,
            spec.over(STAGE),
            self.world_seed,
            inputs,
            spec.placed(Placement()),
        )

    def _sft(self, who: str, spec: TrainingSpec | None) -> Step:
        if spec is None:
            return self.base(who)
        if self.data.sft is None:
            raise ValueError(f"datasets.{self.dataset}.sft: missing; the {who} has an SFT stage")
        return self._stage(f"sft {who}", spec, self.base(who), self._dialogues(self.data.sft))

    def _dialogues(self, source: ChatData) -> Step:
        suite = self.setting.suite
        rows, world, context = self.setting.rows(source, f"datasets.{self.dataset}.sft")
        settings = DIALOGUES.settings(
            rows, source.pack, source.loss_on, suite.max_length, suite.chat_template, suite.too_long
        )
        # One tokenizer for both models of a pair, the student's: signals are compared token by token.
        inputs = DIALOGUES.inputs(self.base("student"), world)
        return DIALOGUES.step("SFT dialogues", settings, inputs, context, name="sft")

    @cached_property
    def teacher_ref(self) -> Step:
        """The SFT teacher, pi_ref."""
        return self._sft("teacher", self.models.teacher.sft)

    @cached_property
    def student(self) -> Step:
        """The student before any preference stage: the row "Student"."""
        return self._sft("student", self.models.student.sft)

    @cached_property
    def teacher(self) -> Step:
        """The aligned teacher, pi_dpo; the SFT teacher itself where the suite has no DPO stage."""
        return self._dpo("dpo teacher") if self.models.teacher.dpo else self.teacher_ref

    @cached_property
    def reverse_teacher(self) -> Step:
        """The SFT teacher after the same DPO with chosen and rejected exchanged."""
        return self._dpo("reverse dpo teacher", preferred="rejected", dispreferred="chosen")

    @cached_property
    def teachers(self) -> set[str]:
        """The ids of all models of the teacher's size that a row may read."""
        reverse = [self.reverse_teacher] if self.models.teacher.dpo else []
        return {model.id for model in (self.teacher, self.teacher_ref, *reverse)}

    def _dpo(self, label: str, **views: StoredView) -> Step:
        """The SFT teacher after its DPO stage."""
        spec = self.models.teacher.dpo
        if spec is None:
            raise ValueError(f"pairs.{self.pair}.teacher.dpo: missing; a method reads the {label}")
        method = self.setting.registry["DPO"]
        hp = replace(method.hparams, beta=spec.beta, **views)
        # The teacher's DPO goes over the very pairs that students are trained on, as in ADPA's recipe.
        inputs = self.views(method, hp, self.teacher_ref, self.train_pairs)
        training, where = spec.over(method.training), spec.placed(Placement())
        return self.setting.train(label, method, hp, training, self.world_seed, inputs, where)

    def pairs(self, source: Data, name: str, key: str) -> Step:
        """The preferences at a key of the data set as token sequences, in folders `chosen` and `rejected`."""
        suite = self.setting.suite
        rows, world, context = self.setting.rows(source, f"datasets.{self.dataset}.{key}")
        settings = PAIRS.settings(rows, suite.max_length, suite.chat_template, suite.too_long)
        inputs = PAIRS.inputs(self.base("student"), self._own_base("teacher"), world)
        # The names are for the message alone, where the two tokenizers are not the same.
        context = {**context, "student": self._called("student"), "teacher": self._called("teacher")}
        return PAIRS.step(f"{name} pairs", settings, inputs, context, name=name)

    def _called(self, who: str) -> str:
        base = self._spec(who).base
        return base if isinstance(base, str) else who

    @cached_property
    def train_pairs(self) -> Step:
        return self.pairs(self.data.preference, "train", "preference")

    @cached_property
    def validation_pairs(self) -> Step:
        """The held-out pairs, which the data set must name for what reads them."""
        if self.data.validation is None:
            raise ValueError(
                f"datasets.{self.dataset}.validation: missing; the suite's benchmarks read held-out pairs"
            )
        return self.pairs(self.data.validation, "validation", "validation")

    def views(self, method: Method, hp: Any, start: Step, pairs: Step) -> TrainInputs[Source]:
        """The inputs of a training step: its start, its views of some pairs, and the signals it needs on
        them.
        """
        needs, setting, suite = method.needs(hp), self.setting, self.setting.suite
        views: dict[str, Source] = {}
        scores: dict[tuple[str, str], Source] = {}
        stored: dict[tuple[str, str], Source] = {}
        heads: dict[str, Source] = {}
        live: dict[str, Source] = {}
        for view, reads in needs.views.items():
            sequences = views[view] = self._sequences(
                view, start, pairs, needs, rollouts_of(suite, method, needs)
            )
            if reads.scores:
                assert isinstance(sequences, Step)
                probes = signal_steps.preference_probes(setting, self.teacher, sequences, pairs)
                scores[view, "selection"] = probes
            # A label says which view it is, whoever asks for it: methods that share a view share its signals.
            name = sequences.label if isinstance(sequences, Step) else f"{pairs.slug} {view}"
            ids: Step | None = None
            # "teacher" comes before "teacher_ref", whose top-k stands at the teacher's ids.
            for role in sorted(reads.signal_roles()):
                model = self._model(method.roles.get(role, role), start)
                # What the policy will write while it trains is not there yet, so nothing of it can be stored.
                if view == "policy_rollout" or suite.signals == "live":
                    live[role] = model
                    continue
                form = signal_steps.form(suite, role, role in reads.dense_roles(), needs)
                signal = signal_steps.signals(setting, model, name, sequences, form, ids)
                if form.form == "hidden":
                    heads[role] = signal_steps.head(model, form.dtype)
                elif form.form == "topk":
                    ids = ids or signal
                stored[view, role] = signal
        return TrainInputs(start, views, scores, stored, heads, live)

    def _sequences(self, view: ViewName, start: Step, pairs: Step, needs: Needs, drawn: Rollouts) -> Source:
        suite, chosen = self.setting.suite, Part(pairs, "chosen")
        sampling = Sampling(drawn.temperature, drawn.top_p, suite.generation.max_tokens)
        match view:
            case "chosen" | "rejected":
                return Part(pairs, view)
            case "mismatched":
                settings = MISMATCHED.settings(suite.max_length)
                return MISMATCHED.step(f"mismatched {pairs.label}", settings, MISMATCHED.inputs(pairs))
            case "teacher_rollout":
                # A student that learns from a cut response learns not to stop.
                return self.rollouts(self.teacher, chosen, sampling, drawn.samples, drop=True)
            case "student_rollout":
                return self.rollouts(start, chosen, sampling, drawn.samples)
            case "policy_rollout":
                return chosen  # the prompts; the training step answers them
            case "group":
                assert needs.group, "a method that reads `group` says how it is made"
                return signal_steps.diverse_responses(
                    self.setting, start, chosen, needs.group, self.world_seed
                )

    def rollouts(self, model: Step, prompts: Part, how: Sampling, n: int = 1, drop: bool = False) -> Step:
        """`n` responses of a model to each prompt of a set of sequences."""
        return signal_steps.rollouts(
            self.setting, model, prompts, drop=drop, sampling=how, seed=self.world_seed, samples=n
        )

    def _model(self, role: str, start: Step) -> Step:
        if role == "teacher":
            return self.teacher
        if role == "reverse_teacher":
            return self.reverse_teacher
        return self.teacher_ref if role == "teacher_ref" else start

    def result(self, name: str, seed: int) -> Step:
        """The checkpoint of a row: a method's last stage, the Student or the Teacher."""
        if name in (TEACHER, STUDENT):
            return self.teacher if name == TEACHER else self.student
        return self._last_stage(name, seed)[1]

    def start(self, name: str, seed: int) -> Step:
        """What a method's last stage (or its last round) starts from."""
        return self._last_stage(name, seed)[0]

    def _last_stage(self, name: str, seed: int) -> tuple[Step, Step]:
        """What a method's last stage starts from, and its result."""
        method = methods.get(name, self.setting.registry)
        hp, training = configured(self.setting.suite, method)
        needs, where = method.needs(hp), placement(self.setting.suite, name)
        # Rounds share the epochs, so that a method with more of them is not trained longer.
        training = replace(training, epochs=training.epochs / needs.rounds)
        # DCKD of the same seed for ADPA+: seeds are of a whole row, not of its last stage alone.
        start = done = self.result(method.starts_from, seed)
        for number in range(needs.rounds):
            start = done
            inputs = self.views(method, hp, start, self.train_pairs)
            label = name if number == 0 else f"{name} round {number + 1}"
            step = self.setting.train(label, method, hp, training, seed, inputs, where)
            done = trained = replace(step, settings=replace(step.settings, round=number))
        # Only a selection needs held-out pairs, which a data set may lack.
        if self.setting.suite.selection is None:
            return start, done
        pairs, tokenizer = self.validation_pairs, self.base("student")
        return start, signal_steps.selected(
            self.setting, trained, training, pairs, tokenizer, self.world_seed
        )
