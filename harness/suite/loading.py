"""Suites from files: what extends what, `--set` over it, and a method's settings in one."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.common import shutdown
from harness.common.input import yaml_text
from harness.common.secrets.redaction import without_credentials, without_secrets
from harness.common.suggest import nearest
from harness.common.text import cut
from harness.endpoints.responses.secrets import stands_in
from harness.endpoints.wire import OPENAI_KEY
from harness.models.decoding.decoder import LEAST_TEMPERATURE
from harness.suite.benchmarks import benchmarks_of
from harness.suite.judging import KIND, JudgeKind, judges_of
from harness.suite.measurement import MeasuredBenchmark
from harness.suite.schema import STUDENT, UNTRAINED, Suite
from harness.suite.training import MethodRecipe, Placement, RolloutsSpec, TrainingSpec
from harness.suite.validation import at_key, in_range, inside_world, parts, validated

if TYPE_CHECKING:  # they import torch, which takes seconds; a cost estimate needs none
    from methods.api import Method, Needs, Rollouts, Training

KEY_ENV = "api_key_env"  # names the environment variable with the key of an endpoint
BENCHMARKS = "benchmarks"  # a key of a suite, in which null takes one of an extended suite away
LONGEST_CHAIN = 20  # of suites that extend one another
RECIPE = tuple(MethodRecipe.model_fields)


class Known(NamedTuple):
    """What a suite may name, of this tree and of the user's own: harness/evaluate/registry.py gathers it."""

    benchmarks: Mapping[str, MeasuredBenchmark]
    judges: Mapping[str, JudgeKind]


def configured(suite: Suite, method: "Method") -> tuple[Any, "Training"]:
    """A method's hyper-parameters and optimisation: published, then the suite's for all, then the suite's
    for it.
    """
    entry = suite.methods.get(method.name) or {}
    given = {key: value for key, value in entry.items() if key not in RECIPE}
    where = f"methods.{method.name}"
    own = _own_training(suite, method.name)
    stated = _stated(method.hparams, given, where, RECIPE)
    # A whole dataclass, not only what was given: __post_init__ checks values against each other.
    try:
        hp = validated(type(method.hparams), stated, "", where)
    except (ValueError, shutdown.Terminated, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the code of a method's file raises, a sys.exit too
        told = cut(f"{type(error).__name__}: {error}".strip(": "), 120)
        raise ValueError(f"{where}: given {cut(repr(given))}; its settings say {told}") from error
    training = own.over(suite.training.over(method.training))
    # What a method's file says itself is in range too; it stays as it is, since ids are made of it.
    in_range(training, f"{where}.training")
    in_range(method.needs(hp), f"{where}: needs")
    rollouts_of(suite, method, method.needs(hp))
    return hp, training


def _stated(held: Any, given: Mapping[str, Any], where: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """What a dataclass holds, and a dataclass in it, with what a suite gives in its place; ValueError for a
    key that it has not. `more` are keys that the suite knows beside its own.
    """
    known = [field.name for field in fields(held)]
    for key in given:
        if key not in known:
            raise ValueError(f"{where}.{cut(key)}: unknown key; {nearest(key, [*known, *more])}")
    inner = {
        name: _stated(part, given[name], f"{where}.{name}")
        for name, part in parts(held).items()
        if is_dataclass(part) and isinstance(given.get(name), Mapping)
    }
    return {**asdict(held), **given, **inner}


def rollouts_of(suite: Suite, method: "Method", needs: "Needs") -> "Rollouts":
    """How a method's rollouts are sampled: as its recipe says, then the suite for all, then the suite for
    it.
    """
    where = f"methods.{method.name}.rollouts"
    given = (suite.methods.get(method.name) or {}).get("rollouts") or {}
    own: RolloutsSpec = validated(RolloutsSpec, given, "", where)
    read = needs.views.keys() & {"teacher_rollout", "student_rollout"}
    if given and not read:
        raise ValueError(
            f"{where}: {method.name} reads {', '.join(needs.views)}, and no rollouts made before"
        )
    for_all = suite.generation.model_dump(include={"temperature"}, exclude_none=True)
    settings = {**asdict(needs.rollouts), **for_all, **own.model_dump(exclude_none=True)}
    made: Rollouts = validated(type(needs.rollouts), settings, "", where)
    if read and suite.generation.engine == "vllm" and 0 < made.temperature < LEAST_TEMPERATURE:
        allowed = f"engine: vllm takes 0, or {LEAST_TEMPERATURE} and more"
        raise ValueError(f"{where}.temperature: given {made.temperature}; {allowed}")
    return made


def placement(suite: Suite, method: str) -> Placement:
    """Where a method's last stage is trained: as the suite says for it, else for all."""
    return _own_training(suite, method).placed(suite.training.placed(Placement()))


def with_starts(suite: Suite, registry: Mapping[str, "Method"]) -> dict[str, "Method"]:
    """The registry with what each last stage starts from as the suite says; ValueError for a start that is no
    entry, or that starts from the method itself.
    """
    known = dict(registry)
    for name, given in suite.methods.items():
        if name not in registry or (given or {}).get("starts_from") is None:
            continue
        where = f"methods.{name}.starts_from"
        start = validated(str, (given or {})["starts_from"], "", where)
        if start not in (allowed := [STUDENT, *registry]):
            raise ValueError(f"{where}: given {cut(start)!r}; {nearest(start, allowed)}")
        known[name] = replace(registry[name], starts_from=start)
    for name in known:  # --only may name any of them
        way = [name]
        while (start := known[way[-1]].starts_from) not in UNTRAINED:
            if start not in known:
                where = f"methods.{way[-1]}.starts_from"
                raise ValueError(f"{where}: given {cut(repr(start))}; {nearest(start, [STUDENT, *known])}")
            if start in way:
                circle = " from ".join([*way[way.index(start) :], start])
                where = f"methods.{start}.starts_from"
                raise ValueError(f"{where}: a circle, {circle}; one starts from {STUDENT}")
            way.append(start)
    return known


def _own_training(suite: Suite, method: str) -> TrainingSpec:
    given = (suite.methods.get(method) or {}).get("training") or {}
    own: TrainingSpec = validated(TrainingSpec, given, "", f"methods.{method}.training")
    return own


def _shipped() -> dict[str, Path]:
    """The suites that ship, by name."""
    presets = files("harness").joinpath("presets").iterdir()
    return {Path(f.name).stem: Path(str(f)) for f in presets if f.name.endswith(".yaml")}


def suite_file(name: str) -> Path:
    """The file of a suite: a path, or the name of one that ships."""
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    shipped = _shipped()
    if name not in shipped:
        raise ValueError(
            f"no suite {cut(repr(name))}, nor a path that ends in .yaml; {nearest(name, sorted(shipped))}"
        )
    return shipped[name]


def load(name: str, overrides: Sequence[str], known: Known) -> Suite:
    """The suite of that name or file, with `key=value` overrides; any fault is one ValueError line."""
    path = suite_file(name)
    raw = _extended(path, ())
    for given in overrides:
        override(raw, given)
    return suite_of(raw, known, str(path))


def suite_of(raw: Mapping[str, Any], known: Known, where: str) -> Suite:
    """A suite from the keys of its file; `where` begins every fault."""
    _check_world_paths(raw, where)
    # Benchmarks and judges first: their models come from registries that the schema does not know.
    parts = dict(raw)
    judge_of: dict[str, str] = {}  # of each benchmark
    if BENCHMARKS in parts:
        given = validated(dict[str, Any], parts[BENCHMARKS], where, BENCHMARKS)
        parts[BENCHMARKS] = benchmarks = benchmarks_of(given, known.benchmarks, where)
        judge_of = {name: settings.judge for name, settings in benchmarks.judged().items()}
    if isinstance(given := parts.get("judges", {}), Mapping):
        world = raw.get("world") is not None  # {} is a world of the usual sizes
        # A judge that needs no settings, such as the world's rule, is named without an entry.
        without_entry = {n: {KIND: n} for n, kind in known.judges.items() if kind.named_alone(world)}
        nameable = without_entry | dict(given)
        for name, judge in judge_of.items():
            if judge not in nameable:
                key = f"benchmarks.{name}.judge"
                fault = f"no judge {cut(repr(judge))}; {nearest(judge, list(nameable))}"
                raise ValueError(f"{where}: {key}: {fault}")
        used = set(judge_of.values()) | set(given)
        entries = {name: entry for name, entry in nameable.items() if name in used}
        parts["judges"] = judges_of(entries, known.judges, where)
    suite: Suite = validated(Suite, parts, where)
    _check_keys(raw, where)
    return suite


def _check_keys(raw: Mapping[str, Any], where: str) -> None:
    """ValueError for the key of an endpoint in the place of a name or an address, which records keep."""
    for section in ("models", "judges"):
        for entry in (raw.get(section) or {}).values():
            variable = str(entry.get(KEY_ENV, OPENAI_KEY)) if isinstance(entry, Mapping) else ""
            key = os.environ.get(variable, "").strip()
            if stands_in(key, without_credentials(str(raw[section]))):
                kept = "names and addresses are kept, and the key is read from the environment alone"
                raise ValueError(f"{where}: {section}: holds the key of {variable}; {kept}")


def _check_world_paths(tree: Any, where: str, key: str = "") -> None:
    """ValueError, with its key, for a path that leaves the generated world; benchmarks name paths as well."""
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            _check_world_paths(part, where, f"{key}.{name}" if key else str(name))
    elif isinstance(tree, str):
        try:
            inside_world(tree)
        except ValueError as fault:
            raise ValueError(f"{where}: {key}: {fault}") from None


def _extended(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """The keys of a suite file, over those of the suite that it extends."""
    with at_key(f"{extending[-1]}: extends") if extending else nullcontext():
        raw = _raw(path)
    # By where a path leads: a/../a.yaml is a.yaml.
    if path.resolve() in [other.resolve() for other in extending]:
        raise ValueError(f"{extending[-1]}: extends {path}, which extends it")
    if len(extending) >= LONGEST_CHAIN:
        raise ValueError(f"{extending[0]}: extends a suite that extends another, {LONGEST_CHAIN} times")
    if "extends" not in raw:
        return raw
    name = raw.pop("extends")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{path}: extends: given {cut(repr(name))}; the name or path of one suite")
    try:
        base = base_file(path, name)
    except ValueError as fault:
        raise ValueError(f"{path}: extends: {fault}") from None
    extended = _extended(base, (*extending, path))
    merged = _merged(extended, raw)
    # Taken away here, so that any null that is left is of a name which nobody knows.
    if isinstance(before := extended.get(BENCHMARKS), dict) and isinstance(own := raw.get(BENCHMARKS), dict):
        for name in before.keys() & own.keys():
            if own[name] is None:
                del merged[BENCHMARKS][name]
    return merged


def base_file(path: Path, name: str) -> Path:
    """The file of the suite `name` that the one at `path` extends; a path is relative to the file."""
    return path.parent / name if name.endswith((".yaml", ".yml")) else suite_file(name)


def _raw(path: Path) -> dict[str, Any]:
    """The keys of a suite file."""
    if path.stem in _shipped() and not path.exists():
        raise ValueError(f"no suite file {path}; did you mean {path.stem!r}, which ships?")
    raw = yaml_text.read(path, "suite file")
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: a suite is a mapping of keys")
    return raw


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `own`, mappings merged key by key."""
    merged_keys = {
        k: _merged(base[k], v)
        for k, v in own.items()
        if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **own, **merged_keys}


def override(raw: dict[str, Any], given: str) -> None:
    """Set one key of a suite, "a.b=value"."""
    key, _, value = given.partition("=")
    *parents, last = names = key.split(".")
    if "=" not in given or not all(names) or len(names) > yaml_text.DEEPEST:
        allowed = "must be key=value, the key with dots, such as methods.ADPA.gamma_beta=0.2"
        raise ValueError(f"--set {cut(without_secrets(given))}: {allowed}")
    if key == "extends":
        raise ValueError(f"--set {cut(given)}: a suite file says what it extends")
    for name in parents:
        # `null` and absent keys alike: `--set` may open a section that the file does not have.
        if not isinstance(raw.get(name), dict):
            raw[name] = {}
        raw = raw[name]
    try:
        parsed = yaml_text.parse(value, f"--set {cut(key)}") if value else None
    except ValueError as fault:
        shown = cut(without_secrets(value), 40)
        raise ValueError(f"{fault}; given {shown}; text may need quotes of its own") from None
    if parents == [BENCHMARKS] and parsed is None and raw.get(last) is not None:
        del raw[last]
    else:
        raw[last] = parsed
