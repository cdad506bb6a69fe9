"""Functions of a given source file, executed alone: its imports, mostly trainers, are not needed."""

import __future__

import ast
import itertools
import math
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
    module = ast.Module([*found], type_ignores=[])
    known = {
        **{"torch": Exact(), "F": torch.nn.functional, "nn": torch.nn, "math": math},
        **{"log": math.log, "permutations": itertools.permutations, **names},
    }
    # Annotations name what the file imports, so they stay text.
    flags = __future__.annotations.compiler_flag
    exec(compile(module, "<authors>", "exec", flags, dont_inherit=True), known)
    return SimpleNamespace(**{node.name: known[node.name] for node in found})


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
