"""What every step of a plan may look up: the suite, the registry, this machine, and where data and models
are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import methods
from harness.common.text import slug
from harness.data import datasets
from harness.evaluate import benchmark_files
from harness.executors.options import Machine
from harness.models import hub, loading
from harness.store.step import Part, Step
from harness.suite import extension_file
from harness.suite.schema import Data, Suite
from methods.api import Method, Training


@dataclass(frozen=True)
class Setting:
    """What every step of a plan may look up."""

    suite: Suite
    registry: Mapping[str, Method]
    machine: Machine
    method_file: str | None = None

    @property
    def how(self) -> dict[str, Any]:
        return asdict(self.machine)

    def world(self) -> Step:
        """The generated world."""
        if self.suite.world is None:
            raise ValueError(f"suite {self.suite.name}: it names the generated world, but has no key `world`")
        settings = {**asdict(self.suite.world), "seed": self.suite.world_seed}
        return Step("world", "pocket", "pocket world", settings, {}, "harness.models.prepare:run_world")

    def folder(self, path: str, kind: str) -> Step | Part:
        """A folder of the world ("world/test"), or one from outside as a step that links to it."""
        if path.split("/")[0] == "world":
            inside = path.partition("/")[2]
            return Part(self.world(), inside) if inside else self.world()
        known = loading.fingerprint(path) if kind == "model" else self._content(path)
        settings = {"kind": kind, "fingerprint": known}
        context = {**self.how, "path": path}
        label = f"{kind} {Path(path).name}"
        step = Step("link", kind, label, settings, {}, "harness.models.prepare:run_link", 2, context)
        return step if kind == "model" else Part(step, "files")

    def _content(self, path: str) -> str:
        """What a data folder holds, read once: every row of a table names the folders of its benchmarks."""
        if hub.is_stand_in(path):
            return path
        if path not in self._contents:
            self._contents[path] = benchmark_files.fingerprint(Path(path))
        return self._contents[path]

    @cached_property
    def _contents(self) -> dict[str, str]:
        return {}

    def rows(self, source: Data) -> tuple[dict[str, Any], dict[str, Step | Part], dict[str, Any]]:
        """Settings, inputs and context of a step that reads a data source."""
        keys = ("split", "revision", "layout", "limit", "skip")
        settings = {k: v for k, v in source.model_dump().items() if k in keys}
        if source.path.startswith("world/"):
            return {**settings, "path": source.path.removeprefix("world/")}, {"data": self.world()}, self.how
        known = datasets.fingerprint(datasets.Source(source.path, source.split, source.revision))
        named = {**settings, "path": Path(source.path).name, "fingerprint": known}
        return named, {}, {**self.how, "path": source.path}

    def train(
        self,
        label: str,
        method: Method,
        hp: Any,
        training: Training,
        seed: int,
        inputs: Mapping[str, Step | Part],
        round_: int = 0,
    ) -> Step:
        """A training step. Where a number was published (`source`) is not part of it."""
        settings = self._of_method(method, hp, seed, inputs)
        told = {k: v for k, v in asdict(training).items() if k != "source"}
        settings["training"] = told if training.lora else {k: v for k, v in told.items() if k != "lora"}
        engine = self.suite.engine.model_dump(include={"compile", "fused"})
        settings |= {name: True for name, asked in engine.items() if asked}
        if round_:
            settings["round"] = round_
        context = self._where(method)
        return Step("train", slug(label), label, settings, inputs, "harness.train.step:run", context=context)

    def objective(
        self, label: str, method: Method, hp: Any, seed: int, inputs: Mapping[str, Step | Part]
    ) -> Step:
        """A method's objective on held-out inputs, before and after its last stage."""
        settings, context = self._of_method(method, hp, seed, inputs), self._where(method)
        run = "harness.train.objective:run"
        return Step("objective", slug(label), f"objective of {label}", settings, inputs, run, context=context)

    def _of_method(
        self, method: Method, hp: Any, seed: int, inputs: Mapping[str, Step | Part]
    ) -> dict[str, Any]:
        """What decides the numbers of a method's loss, beside its inputs."""
        settings = {
            "formula": method.formula,
            "hp": asdict(hp),
            "seed": seed,
            "precision": self.suite.precision,
        }
        if method.needs(hp).online:
            settings |= {
                "max_tokens": self.suite.generation.max_tokens,
                "template": self.suite.chat_template,
            }
        if any(name.startswith("live.") for name in inputs):
            settings["teacher_dtype"] = self.suite.teacher_dtype
        if self._is_of_file(method):
            assert self.method_file
            settings["file"] = extension_file.digest(self.method_file)
        return settings

    def _where(self, method: Method) -> dict[str, Any]:
        file = self.method_file if self._is_of_file(method) else None
        how = {**self.how, "checkpointing": self.suite.engine.checkpointing}
        return {**how, "method": method.name, "method_file": file}

    def _is_of_file(self, method: Method) -> bool:
        return self.method_file is not None and method.name not in {m.name for m in methods.BUILT_IN}
