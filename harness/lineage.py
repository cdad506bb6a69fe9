"""The models of one teacher-student pair on one data set, as steps: every stage, rollout and signal once.

base -> sft -> dpo                    the teacher; the SFT teacher is its reference
base -> sft -> a method's last stage  the student
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import methods
from harness.setting import Setting, slug
from harness.store import Part, Step
from harness.suite import Architecture, ChatData, Data, Dataset, ModelPair, TrainingSpec, configured
from methods.api import Method, Role, Training, ViewName

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
            "init", who, f"init {who}", settings, {"tokenizer": tokenizer}, "harness.prepare:run_init"
        )
        text = Step(
            "text",
            "pretrain",
            "pretraining text",
            {"file": "pretrain.jsonl"},
            {"data": self.setting.world(), "tokenizer": tokenizer},
            "harness.prepare:run_text",
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
        run = "harness.prepare:run_dialogues"
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
        inputs = self._views(method, hp, self.teacher_ref)
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
            "pairs", name, f"{name} pairs", settings, inputs, "harness.prepare:run_pairs", context=context
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

    def rollouts(
        self, model: Step, prompts: Part, max_tokens: int, *, drop: bool, greedy: bool = False
    ) -> Step:
        """One response of a model to each prompt of a set of sequences."""
        suite = self.setting.suite
        settings = {
            "max_tokens": max_tokens,
            "temperature": 0.0 if greedy else suite.generation.temperature,
            "drop_truncated": drop,
            "template": suite.chat_template,
            "seed": suite.world_seed,
        }
        inputs: dict[str, Step | Part] = {"model": model, "prompts": prompts}
        label = f"rollouts of {model.label}"
        return Step(
            "rollouts",
            slug(model.label),
            label,
            settings,
            inputs,
            "harness.rollouts:run",
            context=self.setting.how,
        )

    def signals(
        self,
        model: Step,
        name: str,
        sequences: Step | Part,
        form: str,
        dtype: str = "float32",
        k: int | None = None,
        ids: Step | None = None,
    ) -> Step:
        """What a frozen model says of a set of sequences, in one of the forms of harness.signals."""
        settings: dict[str, Any] = {"form": form, "dtype": dtype} | ({"k": k} if k else {})
        inputs: dict[str, Step | Part] = {"model": model, "sequences": sequences}
        if ids:
            inputs["ids"] = ids
        label, run = f"{form} of {model.label} on {name}", "harness.signals:run"
        return Step("signals", slug(label), label, settings, inputs, run, context=self.setting.how)

    def _head(self, model: Step) -> Step:
        settings, inputs = {"dtype": self.setting.suite.teacher_dtype}, {"model": model}
        label = f"head of {model.label}"
        return Step("head", slug(model.label), label, settings, inputs, "harness.signals:run_head")

    def _views(self, method: Method, hp: Any, start: Step) -> dict[str, Step | Part]:
        """The inputs of a training step: its start, its views, and the signals it needs on them."""
        needs = method.needs(hp)
        inputs: dict[str, Step | Part] = {"start": start}
        for view, reads in needs.views.items():
            sequences = self._sequences(view, start)
            inputs[f"view.{view}"] = sequences
            name = sequences.label if isinstance(sequences, Step) else view
            dense = {role for s in reads.stats for role in s.reads}
            ids: Step | None = None
            # "teacher" comes before "teacher_ref", whose top-k stands at the teacher's ids.
            for role in sorted(reads.signal_roles()):
                model = self._model(method.roles.get(role, role), start)
                dtype = "float32" if role == "ref" else self.setting.suite.teacher_dtype
                form = "hidden" if needs.support == "full" else "topk"
                if role == "ref" and role not in dense:
                    form = "logps"
                k = needs.support if form == "topk" else None
                assert k != "full"
                signal = self.signals(model, name, sequences, form, dtype, k, ids)
                if form == "hidden":
                    inputs[f"head.{role}"] = self._head(model)
                elif form == "topk":
                    ids = ids or signal
                inputs[f"signal.{view}.{role}"] = signal
        return inputs

    def _sequences(self, view: ViewName, start: Step) -> Step | Part:
        if view in ("chosen", "rejected"):
            return Part(self.train_pairs, view)
        prompts, longest = Part(self.train_pairs, "chosen"), self.setting.suite.generation.max_tokens
        if view == "teacher_rollout":
            return self.rollouts(self.teacher, prompts, longest, drop=True)
        return self.rollouts(start, prompts, longest, drop=False)

    def _model(self, role: Role, start: Step) -> Step:
        if role == "teacher":
            return self.teacher
        return self.teacher_ref if role == "teacher_ref" else start

    def result(self, name: str, seed: int) -> Step:
        """The checkpoint of a row: a method's last stage, the Student or the Teacher."""
        if name in (TEACHER, STUDENT):
            return self.teacher if name == TEACHER else self.student
        method = methods.get(name, self.setting.registry)
        hp, training = configured(self.setting.suite, method)
        start = self.result(method.starts_from, seed)
        return self.setting.train(name, method, hp, training, seed, self._views(method, hp, start))
