"""Who may import whom, read from the source; and what starting the command costs."""

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
    "methods": {"torch", "methods"},
    "benchmarks": {"numpy", "benchmarks"},
    "reports": {
        "pandas",
        "numpy",
        "scipy",
        "jinja2",
        "markupsafe",
        "rich",
        "vl_convert",
        "pydantic",
        "reports",
    },
}
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


@pytest.mark.parametrize("path", [p for p in LEAVES if p.parent.name == "methods"], ids=str)
def test_methods_do_not_import_each_other(path: Path) -> None:
    """Beside the registry, a method's file knows the contract and the shared formulas."""
    known = {".".join(i.module.split(".")[:2]) for i in of_file(path) if root(i) == "methods"}
    assert path.name == "__init__.py" or known <= {
        "methods",
        "methods.api",
        "methods.batch",
        "methods.formulas",
        "methods.kernels.output_head",  # of methods.kernels.token_statistics
        "methods.kernels.row_functions",
    }


FORMULAS = sorted({m.loss.__module__ for m in methods.BUILT_IN})


@pytest.mark.parametrize("module", FORMULAS)
def test_a_method_can_be_read_beside_its_paper(module: str) -> None:
    assert len((ROOT / module.replace(".", "/")).with_suffix(".py").read_text().splitlines()) <= 90


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


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_command_line_starts_without_torch_and_transformers() -> None:
    found = python("import sys, harness.cli.app; print(*{m.partition('.')[0] for m in sys.modules})")
    assert found.returncode == 0, found.stderr
    loaded = set(found.stdout.split())
    assert "typer" in loaded
    assert not loaded & {"torch", "transformers", "accelerate", "datasets", "lm_eval"}


def test_help_is_there() -> None:
    found = python("import sys; sys.argv = ['bench', '--help']; from harness.cli.app import main; main()")
    assert found.returncode == 0, found.stderr
    assert "run" in found.stdout and "methods" in found.stdout
