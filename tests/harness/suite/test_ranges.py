"""Each number of a suite and of a method says beside its type what it may be, and is held to it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import methods
from harness.cli.pages import method_pages
from harness.evaluate import registry
from harness.executors.options import Machine
from harness.plan.plan import plan
from harness.pocket.build import World
from harness.run.tuning import tune
from harness.suite import loading
from harness.suite.method_file import methods_in
from harness.suite.schema import Suite
from harness.suite.validation import Strict, validated
from methods.api import Group, LoRA, Method, Needs, Online, Reads, Training
from tests import suites
from tests.bench_command import bench
from tests.paths import TINY

KNOWN = registry.known()
SFT_READS = Needs({"chosen": Reads(logps=("policy",))})
# Its numbers are hyper-parameters, each with the range of its method.
ELSEWHERE = {("Tuning", "methods"), ("Span", "log"), ("Span", "uniform")}
NO_NUMBERS = (True, float("nan"), float("inf"), "nan", 10**400)


def parts_of_a_suite() -> Iterator[type[BaseModel]]:
    models: list[type[BaseModel]] = [Strict]
    for model in models:  # it grows
        models += model.__subclasses__()
    yield from models
    yield from {known.declaration.settings for known in KNOWN.benchmarks.values()}
    yield from {kind.settings for kind in KNOWN.judges.values()}


def declared() -> dict[tuple[str, str], Any]:
    """(class, field) -> the type with its range."""
    found: dict[tuple[str, str], Any] = {}
    for model in parts_of_a_suite():
        for name, field in model.model_fields.items():
            found[model.__name__, name] = Annotated[(field.annotation, "of pydantic", *field.metadata)]
    hparams = {type(method.hparams) for method in methods.registry().values()}
    for cls in {World, Training, LoRA, Group, Online, Needs} | hparams:
        assert is_dataclass(cls)
        for name, hint in get_type_hints(cls, include_extras=True).items():
            found[cls.__name__, name] = hint
    return found


def numbers(hint: Any, bounds: tuple[Any, ...] = ()) -> Iterator[tuple[type, tuple[Any, ...]]]:
    """The numbers that a type admits, and what bounds each."""
    if hint in (int, float):
        yield hint, bounds
    elif get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        inside = (b for one in more for b in (one.metadata if isinstance(one, FieldInfo) else [one]))
        yield from numbers(inner, (*bounds, *inside))
    else:
        for one in get_args(hint):
            yield from numbers(one, bounds)


# In order: processes that share the tests must agree on them.
DECLARED = {
    key: hint for key, hint in sorted(declared().items()) if list(numbers(hint)) and key not in ELSEWHERE
}


def outside(number: type, bounds: Iterable[Any]) -> Iterator[float]:
    """Numbers just outside of a range."""
    step = 1 if number is int else 0.25
    for bound in bounds:
        match bound:
            case Gt(gt=x) | Lt(lt=x):
                yield number(x)
            case Ge(ge=x):
                yield x - step
            case Le(le=x):
                yield x + step


@pytest.mark.parametrize("key", DECLARED, ids=".".join)
def test_every_number_has_a_range_and_what_lies_outside_is_one_line(key: tuple[str, str]) -> None:
    for number, bounds in numbers(DECLARED[key]):
        wrong = list(outside(number, bounds))
        assert wrong, f"{key} may be any number"
        several = "tuple" in str(DECLARED[key])
        for value in (*wrong, *NO_NUMBERS):
            with pytest.raises(ValueError) as e:
                validated(DECLARED[key], (value,) if several else value, "suite", "key")
            assert str(e.value).startswith("suite: key") and "\n" not in str(e.value)


def test_most_of_what_a_suite_says_is_looked_at() -> None:
    assert len(DECLARED) > 90
    assert {
        ("DPO", "beta"),
        ("PAD", "iterations"),
        ("DCKD", "support"),
        ("World", "pairs"),
    } <= DECLARED.keys()
    assert {("Suite", "seeds"), ("TrainingSpec", "epochs"), ("OpenLLMSettings", "limit")} <= DECLARED.keys()


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("cDPO", {"eps": -0.1}, {"eps": 0.0}),
        ("cDPO", {"eps": 0.5}, {"eps": 0.49}),
        ("rDPO", {"eps": 0.9}, {"eps": 0.1}),
        ("PAD", {"responses": 1}, {"responses": 2}),
        ("PAD", {"responses": 7, "samples": 9}, {"responses": 6, "samples": 9}),
    ],
)
def test_a_range_of_its_own(name: str, given: dict[str, float], allowed: dict[str, float]) -> None:
    """Half of the labels cannot be wrong, and PAD ranks two to six of its samples."""
    method = methods.registry()[name]
    loading.configured(suites.load(TINY).model_copy(update={"methods": {name: allowed}}), method)
    with pytest.raises(ValueError, match=f"methods.{name}.{next(iter(given))}: given"):
        loading.configured(suites.load(TINY).model_copy(update={"methods": {name: given}}), method)


HPARAMS = [
    pytest.param(method, field.name, id=f"{method.name}.{field.name}")
    for method in methods.BUILT_IN
    for field in fields(method.hparams)
    if (type(method.hparams).__name__, field.name) in DECLARED
]


@pytest.mark.parametrize(("method", "name"), HPARAMS)
def test_a_hyper_parameter_out_of_range_is_one_line_with_its_key(method: Method, name: str) -> None:
    suite = suites.load(TINY)
    for number, bounds in numbers(DECLARED[type(method.hparams).__name__, name]):
        for value in (*outside(number, bounds), *NO_NUMBERS):
            told = suite.model_copy(update={"methods": {method.name: {name: value}}})
            with pytest.raises(ValueError, match=f"{name}: given") as e:
                loading.configured(told, method)
            assert str(e.value).startswith(f"methods.{method.name}.{name}: ") and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=.inf", "training.epochs: given inf; input should be a finite number"),
        ("training.epochs=true", "training.epochs: given True; input should be a number"),
        ("training.warmup=.nan", "training.warmup: given nan; input should be less than or equal to 1"),
        ("training.lora.r=0", "training.lora.r: given 0; input should be greater than 0"),
        ("pairs.tiny.teacher.dpo.beta=0", "pairs.tiny.teacher.dpo.beta: given 0; input should be greater"),
        ("pairs.tiny.student.base.hidden=0", "base.hidden: given 0; input should be greater than 0"),
        ("pairs.tiny.student.base.heads=3", "base: hidden is a multiple of twice the heads (6), not 8"),
        ("seeds=[0, -1]", "seeds.1: given -1; input should be greater than or equal to 0"),
        ("probe.question='{question} {a} {foo}'", "given '{question} {a} {foo}'; braces of the text itself"),
        ("probe.question='{question}: {a}'", "probe.question: given '{question}: {a}'; it lacks {b}"),
        ("probe.options=[a]", "probe.options.1: missing"),
        ("probe.options=[A, ' A']", "probe.options: given ['A', ' A']; two answers that differ"),
        ("probe.question='{question:>999999999} {a} {b}'", "others hold {question}, {a}, {b} alone"),
        ("generation.temperature=1e-300", "generation.temperature: given 1e-300; 0 (greedy), or from 1e-06"),
        ("training.epochs=1e300", "training.epochs: given 1e+300; input should be less than or equal to"),
        ("world.pairs=1000000000", "world.pairs: given 1000000000; input should be less than or equal to"),
        ("pairs.tiny.student.base.layers=1000000", "base.layers: given 1000000; input should be less than"),
        ("pairs.tiny.student.base=''", "pairs.tiny.student.base: given ''; input should be a text that says"),
        ("datasets.pocket.sft.path=world/preference_train.jsonl", "did you mean 'world/sft.jsonl'?"),
        ("datasets.pocket.preference.path=world", "of the generated world known: world/preference_train"),
        (
            "seeds=3",
            "seeds: given 3; input should be a list, such as [a, b], or input should be a map",
        ),
        ("name='-t'", "name: given '-t'; letters, digits and . _ + = , -"),
        ("models={m: {url: 'ftp://x', model: y}}", "models.m.url: given 'ftp://x'; a URL, such as http://"),
        ("models={m: {url: 'http://', model: y}}", "models.m.url: given 'http://'; a URL, such as http://"),
        ("seeds=[0, 0]", "seeds: given [0, 0]; each seed is a row of its own, so none stands there twice"),
        ("seeds=[true]", "seeds.0: given True; input should be a number"),
        (
            "world_seeds=[1, 1]",
            "world_seeds: given [1, 1]; each seed is a row of its own, so none stands there twice",
        ),
        ("world_seed=1", "world_seed: unknown key; did you mean 'world_seeds'?"),
        ("world.pairs=0", "world.pairs: given 0; input should be greater than or equal to 1"),
        ("world.animals=99", "world.animals: given 99; input should be less than or equal to 28"),
        ("world.questions=12", "world.questions: given 12; input should be a multiple of 8"),
        ("max_length=" + "9" * 90, "max_length: given 99999999999999999999999999999999999999999999999999"),
        ("benchmarks.mt-bench.limit=true", "benchmarks.mt-bench.limit: given True; input should be a number"),
        ("tuning.methods.DPO.beta=[true]", "tuning.methods.DPO.beta.0: given True; input should be a number"),
    ],
)
def test_a_number_of_a_suite_that_is_out_of_range_is_one_line(override: str, message: str) -> None:
    with pytest.raises(ValueError) as e:
        suites.load(TINY, [override])
    assert message in str(e.value) and "\n" not in str(e.value)


def test_a_union_says_what_each_of_its_members_would_have_taken() -> None:
    suite = suites.load(TINY).model_copy(update={"methods": {"DCKD": {"support": 0}}})
    with pytest.raises(ValueError) as e:
        loading.configured(suite, methods.registry()["DCKD"])
    allowed = "input should be greater than or equal to 1, or input should be 'full'"
    assert str(e.value) == f"methods.DCKD.support: given 0; {allowed}"


def test_a_number_that_python_will_not_read_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nseeds: [{'9' * 5000}]\n")
    with pytest.raises(ValueError, match=r"x\.yaml:2: not YAML: 999.*: Exceeds the limit"):
        suites.load(str(path))


def test_a_preference_is_of_two_views() -> None:
    """Of one view alone the margin is 0, and nothing is learned."""
    suite = suites.load(TINY).model_copy(update={"methods": {"DPO": {"dispreferred": "chosen"}}})
    with pytest.raises(ValueError, match=r"methods\.DPO: preferred and dispreferred are .* not both chosen"):
        loading.configured(suite, methods.registry()["DPO"])


@dataclass(frozen=True)
class Inner:
    """Settings inside settings."""

    near: int = 1
    far: int = 5


@dataclass(frozen=True)
class Outer:
    """Settings of a method of one's own."""

    inner: Inner = Inner(2, 3)


def test_settings_inside_settings_keep_what_is_not_given_and_know_their_keys() -> None:
    method = replace(methods.registry()["SFT"], name="Own", hparams=Outer(), needs=lambda hp: SFT_READS)

    def configured(inner: dict[str, int]) -> Any:
        suite = suites.load(TINY).model_copy(update={"methods": {"Own": {"inner": inner}}})
        return loading.configured(suite, method)[0]

    assert configured({"far": 4}) == Outer(Inner(2, 4))
    with pytest.raises(ValueError, match=r"^methods\.Own\.inner\.fra: unknown key; did you mean 'far'\?"):
        configured({"fra": 4})


OWN = """
from dataclasses import dataclass
from methods.api import Method, Needs, Positive, Reads, Training
@dataclass(frozen=True)
class Own:
    beta: Positive = 0.1
    free: float = -1.0
    rounds: int = 1
METHOD = Method(
    name="Own", paper="", hparams=Own(), training=Training(lr=LR),
    needs=lambda hp: Needs({"chosen": Reads(logps=("policy",))}, rounds=hp.rounds), loss=lambda batch, hp: {},
)
"""


def own(folder: Path, lr: str = "1e-3") -> Method:
    path = folder / f"own_{lr}.py"
    path.write_text(OWN.replace("LR", lr))
    (method,) = methods_in(str(path))
    return method


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0}, "methods.Own.beta: given 0; input should be greater than 0"),
        ({"free": True}, "methods.Own.free: given True; input should be a number"),
        ({"free": "nan"}, "methods.Own.free: given 'nan'; input should be a finite number"),
        ({"rounds": -1}, "methods.Own: needs: rounds: given -1; input should be greater than or equal to 1"),
    ],
)
def test_a_method_of_ones_own_declares_ranges_and_is_held_to_those_of_the_loop(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    suite = suites.load(TINY)
    with pytest.raises(ValueError) as e:
        loading.configured(with_own(suite, settings), own(tmp_path))
    assert str(e.value) == message
    hp, _ = loading.configured(with_own(suite, {"free": -2}), own(tmp_path))
    assert hp.free == -2.0


def with_own(suite: Suite, settings: dict[str, Any]) -> Suite:
    return suite.model_copy(update={"methods": {"Own": settings}})


def test_types_of_a_method_of_ones_own_may_be_written_as_text(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("from __future__ import annotations\n" + OWN.replace("LR", "1e-3"))
    (method,) = methods_in(str(path))
    with pytest.raises(ValueError, match=r"methods\.Own\.beta: given -1; input should be greater than 0"):
        loading.configured(with_own(suites.load(TINY), {"beta": -1}), method)


def test_a_type_that_no_suite_can_write_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("class Thing: ...\n" + OWN.replace("LR", "1e-3").replace("free: float", "free: Thing"))
    with pytest.raises(ValueError, match=r"own\.py: Own: Own: Unable to generate .* <class '.*\.Thing'>$"):
        methods_in(str(path))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frozen=True": "order=True"}, "Own.hparams: given Own("),
        ({"free: float": "starts_from: float"}, "Own.starts_from: a suite says by it how a row trains"),
        (
            {"loss=lambda batch, hp: {}": "loss=torch.nn.Identity()"},
            "Own.loss: given Identity(); a function, by",
        ),
        ({"free: float = -1.0": "free: object = Lock()"}, "Own.free: given <unlocked"),
    ],
)
def test_what_ids_cannot_be_made_of_is_refused(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    path, text = tmp_path / "own.py", "import torch\nfrom threading import Lock\n" + OWN.replace("LR", "1e-3")
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)):
        methods_in(str(path))


def test_settings_of_a_method_of_ones_own_may_have_slots_and_parts(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    text = OWN.replace("LR", "1e-3").replace("frozen=True", "frozen=True, slots=True")
    text = text.replace("    rounds", "    part: Part = Part()\n    rounds")
    text = text.replace("@data", "@dataclass(frozen=True)\nclass Part:\n    x: float = 0.5\n@data")
    path.write_text(text)
    (method,) = methods_in(str(path))
    hp, _ = loading.configured(with_own(suites.load(TINY), {"beta": 0.3}), method)
    assert (hp.beta, hp.part.x, hp.rounds) == (0.3, 0.5, 1)
    assert "beta" in method_pages.page(method)
    with pytest.raises(ValueError, match=r"methods\.Own\.free: given True; input should be a number"):
        loading.configured(with_own(suites.load(TINY), {"free": True}), method)


def test_what_a_file_publishes_is_in_range_too(tmp_path: Path) -> None:
    suite = suites.load(TINY, ["training.lr=null"])
    with pytest.raises(ValueError, match=r"methods\.Own\.training: lr: given -1; input should be greater"):
        loading.configured(with_own(suite, {}), own(tmp_path, "-1"))


def test_a_grid_is_looked_through_before_its_first_trial(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"methods\.DPO\.beta: given -1"):
        tune.run(tune.Wanted("pocket", ["tuning.methods.DPO={beta: [0.1, -1]}"], ["DPO"]), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{DPO: {beta: [0.1, -1]}}", "tuning.methods.DPO, {'beta': -1.0}: methods.DPO.beta: given -1"),
        ("{DPO: {lr: [0]}}", "tuning.methods.DPO, {'lr': 0.0}: methods.DPO.training.lr: given 0"),
        ("{DPO: {bta: [1]}}", "tuning.methods.DPO.bta: unknown key; did you mean 'beta'"),
        ("{DPOO: {beta: [1]}}", "tuning.methods.DPOO: no method 'DPOO'; did you mean 'DPO'"),
    ],
)
def test_a_plan_looks_through_the_grid_of_its_suite(given: str, told: str) -> None:
    """Whichever command reads the suite, and whichever rows it trains."""
    suite = suites.load(TINY, [f"tuning.methods={given}"])
    with pytest.raises(ValueError) as e:
        plan(suite, methods.registry(), Machine())
    assert str(e.value).startswith(told)


@pytest.mark.parametrize(
    "override", ["methods.DPO.beta=-1", "training.epochs=.inf", "methods.ADPA.gamma_beta=-1"]
)
def test_the_command_stops_before_any_work(tmp_path: Path, override: str) -> None:
    told = bench("run", TINY, "--set", override, "--runs", str(tmp_path / "runs"))
    assert told.returncode == 2 and len(told.stderr.strip().splitlines()) == 1
    assert override.split("=")[0].rpartition(".")[2] in told.stderr
    assert not (tmp_path / "runs").exists()
