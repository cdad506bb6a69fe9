"""Who may import whom, how large a package, module, function or signature may be, and what a start costs.

All is read from the source: an import counts wherever it stands, in a function or under TYPE_CHECKING too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import methods
from tests.paths import ROOT

HOUSES = {"harness", "methods", "benchmarks", "reports"}
STDLIB = set(sys.stdlib_module_names)
ALLOWED = {
    "methods": {"torch", "annotated_types", "methods"},
    "benchmarks": {"numpy", "pydantic", "benchmarks"},
    "reports": {
        *("pandas", "numpy", "scipy", "pydantic", "jinja2", "markupsafe", "rich", "vl_convert", "reports"),
    },
}
FLOORS = (  # of harness/, from the ground: a package imports only from floors below its own
    ("common", "pocket"),
    ("store",),
    ("models", "data", "endpoints"),
    ("signals", "suite", "executors"),
    ("train", "evaluate"),
    ("plan",),
    ("forecast", "results"),
    ("run", "audit"),
    ("cli",),
)
FLOOR = {package: n for n, packages in enumerate(FLOORS) for package in packages}
MODULES = 10  # of a package; those that are lists of like things may have more
LISTS = {"methods", "reports/tables", "harness/pocket"}
LINES, PARAMETERS = 50, 8  # of a function
FILES = sorted(path.relative_to(ROOT) for house in HOUSES for path in (ROOT / house).rglob("*.py"))
LEAVES = [path for path in FILES if path.parts[0] != "harness"]


class Import(NamedTuple):
    """A module's dotted name, and whether it is imported where the file is."""

    module: str
    at_top: bool


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import of a file of `package`; those under `if TYPE_CHECKING` or `try` stand at the top too."""
    tree = ast.parse(source)
    functions = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        top = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, node.module] if node.module else parents)
            yield Import(base, top)
            yield from (Import(f"{base}.{alias.name}", top) for alias in node.names)


def of_file(path: Path) -> list[Import]:
    return list(imports((ROOT / path).read_text(), ".".join(path.parent.parts)))


def root(found: Import) -> str:
    return found.module.partition(".")[0]


def strangers(house: str, found: list[Import]) -> set[str]:
    """What a file of a house may not import; a benchmark's evaluators may stand inside functions."""
    return {
        root(i)
        for i in found
        if root(i) not in STDLIB | ALLOWED[house]
        and (house != "benchmarks" or i.at_top or root(i) in HOUSES - {house})
    }


@pytest.mark.parametrize("path", LEAVES, ids=str)
def test_a_leaf_imports_only_what_its_floor_allows(path: Path) -> None:
    """Of our own packages its own alone: nothing imports the harness."""
    assert not strangers(path.parts[0], of_file(path))


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES_THERE = {module(path): path for path in FILES}


def imported(path: Path) -> set[str]:
    """Our own modules that a file imports: `from a import b` is a.b where that is a module, else a."""
    names = {i.module for i in of_file(path)}
    return {name for name in names if name in MODULES_THERE} - {module(path)}


def floor_of(name: str) -> int:
    """The floor of a module of harness/."""
    return FLOOR[name.split(".")[1]] if name.count(".") else len(FLOORS)


def upwards(path: Path, names: set[str]) -> set[str]:
    """Modules of other packages of harness/ that do not lie below a file's own."""
    own = module(path).split(".")[:2]
    others = {n for n in names if n.startswith("harness.") and n.split(".")[:2] != own}
    return {n for n in others if floor_of(n) >= floor_of(module(path))}


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] == "harness"], ids=str)
def test_a_package_imports_from_lower_floors_alone(path: Path) -> None:
    assert not upwards(path, imported(path))


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, empty where there is none. A package's own
    `__init__` is imported by all of its modules, and is no part of a ring by that.
    """
    left = {name: {n for n in needs if not name.startswith(f"{n}.")} for name, needs in graph.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle({name: imported(path) for name, path in MODULES_THERE.items()}) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"c"}}) == ["a", "b", "c", "d"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    "path, line, expected",
    [
        ("harness/models/x.py", "def f():\n    from harness.train import loop", {"harness.train.loop"}),
        ("harness/models/x.py", "from harness.models import memory", set()),
        ("harness/models/x.py", "from harness.endpoints import client", {"harness.endpoints.client"}),
        ("harness/models/x.py", "if TYPE_CHECKING:\n    import harness.cli.app", {"harness.cli.app"}),
        ("harness/train/x.py", "from harness.models.memory import free_bytes", set()),
    ],
)
def test_a_way_up_is_seen(path: str, line: str, expected: set[str]) -> None:
    names = {i.module for i in imports(line, "harness.models")} & MODULES_THERE.keys()
    assert {n for n in upwards(Path(path), names) if n.count(".") > 1} == expected


def packages() -> dict[str, list[Path]]:
    """Folder -> its modules, without `__init__`."""
    names = {path.parent.as_posix() for path in FILES}
    return {n: [p for p in FILES if p.parent.as_posix() == n and p.name != "__init__.py"] for n in names}


@pytest.mark.parametrize("package", sorted(packages().keys() - LISTS))
def test_a_package_can_be_seen_at_a_glance(package: str) -> None:
    assert len(packages()[package]) <= MODULES


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_function_is_short_and_takes_few_arguments(path: Path) -> None:
    """The parameters of a command that is `@gathered` are its options, as many as they are."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            few = len([a for a in taken if a.arg not in ("self", "cls")]) <= PARAMETERS
            assert few or "gathered" in map(ast.unparse, node.decorator_list), node.name
            assert (node.end_lineno or 0) - node.lineno < LINES, node.name


@pytest.mark.parametrize("path", [p for p in LEAVES if p.parent.name == "methods"], ids=str)
def test_methods_do_not_import_each_other(path: Path) -> None:
    """Beside the registry, a method's file knows the contract and the shared formulas."""
    known = {".".join(i.module.split(".")[:2]) for i in of_file(path) if root(i) == "methods"}
    assert path.name == "__init__.py" or known <= {
        "methods",
        "methods.api",
        "methods.batch",
        "methods.formulas",
        "methods.lazy_torch",
        "methods.teacher_ranking",  # formulas that PAD and PRO share
        "methods.kernels.output_head",  # of methods.kernels.token_statistics
        "methods.kernels.row_functions",
    }


FORMULAS = sorted({m.loss.__module__ for m in methods.BUILT_IN})


def beside_a_paper(source: str) -> int:
    """The lines of a method's file without names of formulas and sources of numbers, which its page has."""
    of_sources = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword) and node.arg == "sources"
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(source.splitlines(), start=1)
    return sum(not line.startswith("@formula(") and n not in of_sources for n, line in lines)


@pytest.mark.parametrize("module", FORMULAS)
def test_a_method_can_be_read_beside_its_paper(module: str) -> None:
    assert beside_a_paper((ROOT / module.replace(".", "/")).with_suffix(".py").read_text()) <= 90


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 300


@pytest.mark.parametrize(
    "house, source, expected",
    [
        ("methods", "import torch.nn.functional as F\nimport math", set()),
        ("methods", "def f():\n    import numpy", {"numpy"}),
        ("methods", "from harness.models.loading import Head", {"harness"}),
        ("methods", "from . import api", set()),
        ("benchmarks", "def f():\n    from lm_eval import tasks", set()),
        ("benchmarks", "from lm_eval import tasks", {"lm_eval"}),
        ("benchmarks", "try:\n    import fastchat\nexcept ImportError:\n    pass", {"fastchat"}),
        ("benchmarks", "class A:\n    def f(self):\n        import reports", {"reports"}),
        ("reports", "import pandas\nimport torch", {"torch"}),
    ],
)
def test_a_stranger_is_seen(house: str, source: str, expected: set[str]) -> None:
    assert strangers(house, list(imports(source, house))) == expected


@pytest.mark.parametrize(
    "line", ["from methods import dpo", "import methods.dpo", "from . import dpo", "from .dpo import X"]
)
def test_every_way_to_import_a_method_is_seen(line: str) -> None:
    assert "methods.dpo" in {i.module for i in imports(line, "methods")}


LIBRARIES = {"torch", "transformers", "peft", "accelerate", "datasets", "lm_eval"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_command_line_starts_without_torch_and_transformers() -> None:
    found = python("import sys, harness.cli.app; print(*{m.partition('.')[0] for m in sys.modules})")
    assert found.returncode == 0, found.stderr
    loaded = set(found.stdout.split())
    assert "typer" in loaded
    assert not loaded & LIBRARIES


def test_a_plan_is_made_without_the_libraries_that_its_steps_need() -> None:
    modules = "harness.run.pipeline, harness.run.kinds"
    found = python(f"import sys, {modules}; print(*{{m.partition('.')[0] for m in sys.modules}})")
    assert found.returncode == 0, found.stderr
    assert "methods" in found.stdout.split()
    assert not set(found.stdout.split()) & LIBRARIES


def test_help_is_there() -> None:
    found = python("import sys; sys.argv = ['bench', '--help']; from harness.cli.app import main; main()")
    assert found.returncode == 0, found.stderr
    assert "run" in found.stdout and "methods" in found.stdout
