"""Functions of a given source file, executed alone: its imports, mostly trainers, are not needed."""

import __future__

import ast
import itertools
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch


class Exact:
    """torch, with float64 wherever a file names a shorter type: formulas are compared, not their rounding."""

    float32 = bfloat16 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def functions(source: str, *paths: str, **names: Any) -> SimpleNamespace:
    """The functions of those dotted paths, "Trainer.loss", without decorators and annotations, as plain
    functions; they see each other and `names`.
    """
    tree = ast.parse(source)
    found = [_function(tree, path) for path in paths]
    known = _run([*found], names)
    return SimpleNamespace(**{node.name: known[node.name] for node in found})


def lines(source: str, path: str, first: str, last: str, **names: Any) -> Any:
    """What the variable `last` is after a part of a function: from where `first` is assigned to where `last`
    is for the last time in that block.
    """
    for block in _blocks(_function(ast.parse(source), path)):
        starts = [i for i, statement in enumerate(block) if first in _assigned(statement)]
        ends = [i for i, statement in enumerate(block) if last in _assigned(statement)]
        if starts and ends:
            return _run(block[starts[0] : ends[-1] + 1], names)[last]
    raise LookupError(f"no part of {path} assigns {first} and {last}")


def _run(statements: list[ast.stmt], names: dict[str, Any]) -> dict[str, Any]:
    known = {
        **{"torch": Exact(), "F": torch.nn.functional, "nn": torch.nn, "math": math},
        **{"log": math.log, "permutations": itertools.permutations, **names},
    }
    # Annotations name what the file imports, so they stay text.
    flags = __future__.annotations.compiler_flag
    module = ast.Module(statements, type_ignores=[])
    exec(compile(module, "<authors>", "exec", flags, dont_inherit=True), known)
    return known


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for inner in ast.walk(node):
        for field in ("body", "orelse"):
            if isinstance(block := vars(inner).get(field), list):
                yield block


def _assigned(statement: ast.stmt) -> set[str]:
    """Names that a plain assignment gives a value."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _function(tree: ast.Module, path: str) -> ast.FunctionDef:
    at: ast.AST = tree
    for name in path.split("."):
        named = (n for n in ast.iter_child_nodes(at) if isinstance(n, ast.FunctionDef | ast.ClassDef))
        found = next((n for n in named if n.name == name), None)
        if found is None:
            raise LookupError(f"no function {path} in the given file")
        at = found
    assert isinstance(at, ast.FunctionDef)
    at.decorator_list = []
    return at
