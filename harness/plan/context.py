"""What every step of a plan may look up: the suite, the registry, this machine, and where data and models
are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import methods
from harness.common import data_folder, hub
from harness.common.input import model_files
from harness.common.text import cut
from harness.data import datasets
from harness.data.chat_format import FILES, Format, format_of, thinks
from harness.data.layouts import DIALOGUES, PAIRS, Layout
from harness.data.prepare import Rows
from harness.endpoints.servers import ARGUMENTS, ENGINE, SERVER
from harness.executors.options import Machine
from harness.models import weights
from harness.models.prepare import LINK, TRUSTED, WITHOUT_CACHE, WORLD
from harness.plan.endpoints import Endpoints
from harness.pocket.build import World
from harness.store.step import NoInputs, Part, Source, Step
from harness.suite import extension_file
from harness.suite.parts.data import ChatData, Data
from harness.suite.parts.models import Architecture
from harness.suite.schema import Suite
from harness.suite.training import Placement
from harness.suite.validation import at_key, inside_world
from harness.train.costs import OBJECTIVE, TRAIN, OnlineSettings, TrainInputs, TrainSettings
from harness.train.placing.accelerate_file import WHOLE
from methods.api import Method, Training

TrainStep = Step[TrainSettings, TrainInputs[Source]]


@dataclass(frozen=True)
class PlanContext:
    """What every step of a plan may look up."""

    suite: Suite
    registry: Mapping[str, Method]
    machine: Machine
    method_file: str | None = None
    endpoints: Endpoints = field(default_factory=Endpoints)

    @property
    def runtime(self) -> dict[str, Any]:
        """How steps run here, as their context."""
        return asdict(self.machine)

    @property
    def answering(self) -> dict[str, Any]:
        """How steps run in which a model answers, as their context: with the server that each starts."""
        decoder = self.suite.generation.decoder
        server = {SERVER: {ENGINE: decoder.engine, ARGUMENTS: decoder.arguments}}
        return self.runtime | (server if decoder.engine == "vllm" else {})

    def world(self) -> Step[World, NoInputs]:
        """The generated world."""
        if self.suite.world is None:
            raise ValueError(f"suite {self.suite.name}: it names the generated world, but has no key `world`")
        # Its facts are no part of what `world_seeds` drive: every base model is asked the same questions.
        return WORLD.step("pocket world", self.suite.world, NoInputs(), name="pocket")

    def data(self, path: str) -> Source:
        """A folder of the world ("world/test"), or one from outside as a step that links to it."""
        if (inside := inside_world(path)) is not None:
            return Part(self.world(), inside) if inside else self.world()
        # Data are linked as a folder; of a model each file is, as its record stands among them.
        return Part(self._linked(path, "data", self._content(path)), "files")

    def model(self, path: str, key: str) -> Step:
        """A model from outside, a folder or hub id, as a step that links to it. What is wrong with it is said
        with the key that names it.
        """
        with at_key(key):
            if inside_world(path) is not None:
                raise ValueError(f"given {cut(repr(path))}; the generated world holds no models")
            return self._linked(path, "model", weights.fingerprint(path))

    def _linked(self, path: str, kind: str, content: str) -> Step:
        # What is in the folder is identity, where it lies is context: moved data make no new steps.
        label, context = f"{kind} {Path(path).name}", {**self.runtime, "path": path}
        if kind == "model" and self.suite.pickled_weights:
            context[TRUSTED] = True
        without_cache = kind == "model" and self._type(path) in WITHOUT_CACHE
        settings = LINK.settings(kind, content, without_cache)
        return LINK.step(label, settings, NoInputs(), context, name=kind)

    def chat_format(self, base: str) -> Format | None:
        """How a model from outside is spoken to: of a hub id where its small files are to be had."""
        if base not in self._formats:
            folder = self._small_files(base)
            self._formats[base] = format_of(folder, self.suite.chat_template) if folder else None
        return self._formats[base]

    def _type(self, base: str) -> str:
        """The type of a model from outside, "" where its config.json is not to be had."""
        folder = self._small_files(base)
        try:
            return str(model_files.mapping(folder / "config.json")["model_type"]) if folder else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # whoever loads it says what is wrong

    def _small_files(self, base: str) -> Path | None:
        """A folder with what a model from outside says of itself; None of a hub id where it is not to be
        had.
        """
        if base not in self._folders:
            here, files = Path(base), (*FILES, "config.json")
            self._folders[base] = here if here.is_dir() else hub.model_files(weights.fingerprint(base), files)
        return self._folders[base]

    def thinks(self, base: str | Architecture) -> bool:
        """Whether the chat template that a model is spoken to by knows of thoughts before an answer."""
        spoken = self.chat_format(base) if isinstance(base, str) else None
        return thinks(spoken["chat template"] if spoken else self.suite.chat_template)

    @cached_property
    def _formats(self) -> dict[str, Format | None]:
        return {}

    @cached_property
    def _folders(self) -> dict[str, Path | None]:
        return {}

    def _content(self, path: str) -> str:
        """What a data folder holds, read once: every row of a table names the folders of its benchmarks."""
        if hub.is_stand_in(path):
            return path
        if path not in self._contents:
            self._contents[path] = data_folder.fingerprint(Path(path))
        return self._contents[path]

    @cached_property
    def _contents(self) -> dict[str, str]:
        return {}

    def rows(self, source: Data, key: str) -> tuple[Rows, Source | None, dict[str, Any]]:
        """What a step that reads the data source at a key is set to, the world where it lies in it, and
        context.
        """
        part = source.split, source.revision, source.layout, source.limit, source.skip
        if inside := inside_world(source.path):
            # The world's own id says what is in it, so its rows need no fingerprint.
            return Rows(inside, *part), self.world(), self.runtime
        where = datasets.Source(source.path, source.split, source.revision, source.layout)
        known: tuple[Layout[Any], ...] = DIALOGUES if isinstance(source, ChatData) else PAIRS
        if (where, known) not in self._sources:
            with at_key(key):
                beside = datasets.columns_beside(where, known)
                self._sources[where, known] = datasets.fingerprint(where), beside
        rows = Rows(Path(source.path).name, *part, *self._sources[where, known])
        return rows, None, {**self.runtime, "path": source.path}

    @cached_property
    def _sources(self) -> dict[tuple[datasets.Source, tuple[Layout[Any], ...]], tuple[str, tuple[str, ...]]]:
        """What a data source holds, read once: both models of a pair and each pair of models name it."""
        return {}

    def first_world(self, model: Source, world_seed: int) -> int:
        """The world seed that a model was first met with, which is its own where that had a part in it."""
        known = (model.step.id, model.folder) if isinstance(model, Part) else (model.id, "")
        return self._first_worlds.setdefault(known, world_seed)

    @cached_property
    def _first_worlds(self) -> dict[tuple[str, str], int]:
        return {}

    def train(
        self,
        label: str,
        method: Method,
        hp: Any,
        training: Training,
        seed: int,
        inputs: TrainInputs[Source],
        where: Placement,
    ) -> TrainStep:
        """A training step."""
        engine = self.suite.engine
        if engine.fused and training.optimizer != "adamw":
            raise ValueError(f"{label}: optimizer: {training.optimizer}: engine.fused is of adamw alone")
        devices, shard = self._devices(where)
        if shard and method.needs(hp).online:
            raise ValueError(f"{label}: shard: {shard}: {WHOLE}")
        settings = replace(
            self._settings(method, hp, seed, inputs),
            training=training,
            # These two round otherwise, so they are part of an id; recomputed layers are not.
            compile=engine.compile,
            fused=engine.fused,
        )
        context = {**self._context(method), "processes": devices, "shard": shard}
        return TRAIN.step(label, settings, inputs, context)

    def _devices(self, where: Placement) -> tuple[int, str]:
        """Over how many devices a training runs, and how they share its weights: as the command line says,
        else as the suite does, which takes no more than there are; else one.
        """
        machine = self.machine
        if machine.accelerate_config:
            return machine.processes, machine.shard
        wanted = machine.processes or where.devices or 1
        devices = machine.processes or min(wanted, machine.devices or wanted)
        return devices, where.shard if devices > 1 else ""

    def objective(
        self, label: str, method: Method, hp: Any, seed: int, inputs: TrainInputs[Source]
    ) -> TrainStep:
        """A method's objective on held-out inputs, before and after its last stage."""
        settings = self._settings(method, hp, seed, inputs)
        return OBJECTIVE.step(f"objective of {label}", settings, inputs, self._context(method), name=label)

    def _settings(self, method: Method, hp: Any, seed: int, inputs: TrainInputs[Source]) -> TrainSettings:
        """What decides the numbers of a method's loss, beside its inputs."""
        suite = self.suite
        recipe = method.needs(hp).online
        drawn = suite.generation.max_tokens, suite.chat_template
        return TrainSettings(
            formula=method.formula,
            hp=asdict(hp),
            seed=seed,
            precision=suite.precision,
            online=OnlineSettings(*drawn, recipe.passes) if recipe else None,
            # Stored signals have a dtype of their own; only live models are read in the suite's.
            teacher_dtype=suite.teacher_dtype if inputs.live else None,
            file=extension_file.digest(self.method_file)
            if self._file_of(method) and self.method_file
            else None,
        )

    def _context(self, method: Method) -> dict[str, Any]:
        # The entry's name is context: two entries that compute the same are one step.
        engine = self.suite.engine
        how = engine.model_dump(include={"checkpointing", "offload", "deterministic"})
        machine = {**self.runtime, **how}
        health = self.suite.health
        if health.exploding == "stop":
            machine["most_grad_norm"] = health.grad_norm
        return {**machine, "method": method.name, "method_file": self._file_of(method)}

    def _file_of(self, method: Method) -> str | None:
        """The file that a method is read from; None for a built-in one."""
        built_in = method.name in {m.name for m in methods.BUILT_IN}
        return None if built_in else self.method_file
