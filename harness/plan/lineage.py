"""The models of one teacher-student pair on one data set, as steps: every stage, rollout and signal once.

base -> sft -> dpo                    the teacher; the SFT teacher is its reference
base -> sft -> a method's last stage  the student
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import methods
from benchmarks.api import Sampling
from harness.common.text import slug
from harness.plan import signal_steps
from harness.plan.context import Setting
from harness.store.step import Part, Step
from harness.suite.loading import configured
from harness.suite.schema import Architecture, ChatData, Data, Dataset, ModelPair
from harness.suite.training import TrainingSpec
from methods.api import Method, Needs, Training
from methods.batch import Role, ViewName

STAGE = Training(lr=2e-5, epochs=3, batch_size=128, source="ADPA release, student_sft_init.yaml")
TEACHER, STUDENT = "Teacher", "Student"


@dataclass(frozen=True)
class Lineage:
    """The models of one pair on one data set, and what they say and are asked."""

    setting: Setting
    pair: str
    dataset: str
    models: ModelPair
    data: Dataset

    def base(self, who: str) -> Step:
        """The base model of "teacher" or "student": from outside, or pretrained from scratch on the world's
        text.
        """
        spec = self.models.teacher if who == "teacher" else self.models.student
        if isinstance(spec.base, str):
            step = self.setting.folder(spec.base, "model")
            assert isinstance(step, Step)
            return step
        return self._pretrained(who, spec.base, spec.pretrain or TrainingSpec())

    def _pretrained(self, who: str, size: Architecture, spec: TrainingSpec) -> Step:
        suite, tokenizer = self.setting.suite, Part(self.setting.world(), "tokenizer")
        settings = {**size.model_dump(), "positions": suite.max_length * 2, "seed": suite.world_seed}
        start = Step(
            "init", who, f"init {who}", settings, {"tokenizer": tokenizer}, "harness.models.prepare:run_init"
        )
        text = Step(
            "text",
            "pretrain",
            "pretraining text",
            {"file": "pretrain.jsonl"},
            {"data": self.setting.world(), "tokenizer": tokenizer},
            "harness.data.prepare:run_text",
        )
        inputs: dict[str, Step | Part] = {"start": start, "view.chosen": text}
        return self._stage(f"pretrain {who}", spec, inputs)

    def _stage(self, label: str, spec: TrainingSpec, inputs: Mapping[str, Step | Part]) -> Step:
        method, seed = self.setting.registry["SFT"], self.setting.suite.world_seed
        return self.setting.train(label, method, method.hparams, spec.over(STAGE), seed, inputs)

    def _sft(self, who: str, spec: TrainingSpec | None) -> Step:
        if spec is None:
            return self.base(who)
        if self.data.sft is None:
            raise ValueError(f"datasets.{self.dataset}.sft: missing; the {who} has an SFT stage")
        inputs = {"start": self.base(who), "view.chosen": self._dialogues(self.data.sft)}
        return self._stage(f"sft {who}", spec, inputs)

    def _dialogues(self, source: ChatData) -> Step:
        suite = self.setting.suite
        settings, inputs, context = self.setting.rows(source)
        settings |= {"pack": source.pack, "loss_on": source.loss_on}
        settings |= {"max_length": suite.max_length, "template": suite.chat_template}
        inputs = {**inputs, "tokenizer": self.base("student")}
        run = "harness.data.prepare:run_dialogues"
        return Step("dialogues", "sft", "SFT dialogues", settings, inputs, run, context=context)

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
        spec = self.models.teacher.dpo
        if spec is None:
            return self.teacher_ref
        method = self.setting.registry["DPO"]
        hp = type(method.hparams)(beta=spec.beta)
        inputs = self.views(method, hp, self.teacher_ref, self.train_pairs)
        seed = self.setting.suite.world_seed
        return self.setting.train("dpo teacher", method, hp, spec.over(method.training), seed, inputs)

    def pairs(self, source: Data, name: str) -> Step:
        """The preferences as token sequences, in folders `chosen` and `rejected`."""
        suite = self.setting.suite
        settings, inputs, context = self.setting.rows(source)
        settings |= {"max_length": suite.max_length, "template": suite.chat_template}
        inputs = {**inputs, "tokenizer": self.base("student"), "teacher": self.base("teacher")}
        context = {**context, "student": self._called("student"), "teacher": self._called("teacher")}
        return Step(
            "pairs", name, f"{name} pairs", settings, inputs, "harness.data.prepare:run_pairs", 2, context
        )

    def _called(self, who: str) -> str:
        base = (self.models.teacher if who == "teacher" else self.models.student).base
        return base if isinstance(base, str) else who

    @cached_property
    def train_pairs(self) -> Step:
        return self.pairs(self.data.preference, "train")

    @cached_property
    def validation_pairs(self) -> Step:
        """The held-out pairs, which the data set must name for what reads them."""
        if self.data.validation is None:
            raise ValueError(
                f"datasets.{self.dataset}.validation: missing; the suite's benchmarks read held-out pairs"
            )
        return self.pairs(self.data.validation, "validation")

    def views(self, method: Method, hp: Any, start: Step, pairs: Step) -> dict[str, Step | Part]:
        """The inputs of a training step: its start, its views of some pairs, and the signals it needs on
        them.
        """
        needs, setting, suite = method.needs(hp), self.setting, self.setting.suite
        inputs: dict[str, Step | Part] = {"start": start}
        for view, reads in needs.views.items():
            sequences = self._sequences(view, start, pairs, needs)
            inputs[f"view.{view}"] = sequences
            if reads.scores:
                assert isinstance(sequences, Step)
                inputs[f"scores.{view}.selection"] = signal_steps.preference_probes(
                    setting, self.teacher, sequences, pairs
                )
            name = sequences.label if isinstance(sequences, Step) else f"{pairs.slug} {view}"
            live = view == "policy_rollout" or suite.signals == "live"
            ids: Step | None = None
            # "teacher" comes before "teacher_ref", whose top-k stands at the teacher's ids.
            for role in sorted(reads.signal_roles()):
                model = self._model(method.roles.get(role, role), start)
                if live:
                    inputs[f"live.{role}"] = model
                    continue
                dtype = "float32" if role == "ref" else suite.teacher_dtype
                form = "hidden" if needs.support == "full" else "topk"
                if role not in reads.dense_roles():
                    form = "logps"
                k = needs.support if form == "topk" else None
                assert k != "full"
                signal = signal_steps.signals(setting, model, name, sequences, form, dtype, k, ids)
                if form == "hidden":
                    inputs[f"head.{role}"] = signal_steps.head(model, dtype)
                elif form == "topk":
                    ids = ids or signal
                inputs[f"signal.{view}.{role}"] = signal
        return inputs

    def _sequences(self, view: ViewName, start: Step, pairs: Step, needs: Needs) -> Step | Part:
        setting, suite, chosen = self.setting, self.setting.suite, Part(pairs, "chosen")
        sampling = Sampling(suite.generation.temperature, 1.0, suite.generation.max_tokens)
        match view:
            case "chosen" | "rejected":
                return Part(pairs, view)
            case "mismatched":
                settings, label = {"max_length": suite.max_length}, f"mismatched {pairs.label}"
                run = "harness.data.prepare:run_mismatched"
                return Step("mismatched", slug(label), label, settings, {"pairs": pairs}, run)
            case "teacher_rollout":
                return signal_steps.rollouts(setting, self.teacher, chosen, drop=True, sampling=sampling)
            case "student_rollout":
                return signal_steps.rollouts(setting, start, chosen, drop=False, sampling=sampling)
            case "policy_rollout":
                return chosen  # the prompts; the training step answers them
            case "group":
                assert needs.group, "a method that reads `group` says how it is made"
                return signal_steps.diverse_responses(setting, start, chosen, needs.group)

    def _model(self, role: Role, start: Step) -> Step:
        if role == "teacher":
            return self.teacher
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
        needs = method.needs(hp)
        training = replace(training, epochs=training.epochs / needs.rounds)
        start = done = self.result(method.starts_from, seed)
        for number in range(needs.rounds):
            start = done
            inputs = self.views(method, hp, start, self.train_pairs)
            label = name if number == 0 else f"{name} round {number + 1}"
            done = self.setting.train(label, method, hp, training, seed, inputs, number)
        if self.setting.suite.selection is None:
            return start, done
        pairs, tokenizer = self.validation_pairs, self.base("student")
        return start, signal_steps.selected(self.setting, done, training, pairs, tokenizer)
