"""What the authors' own code says of a loss, and ours of the same logits."""

import ast
import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import methods
from tests.golden.authors import code, tensors
from tests.parity.authors import FOLDER, Golden, compared, goldens
from tests.paths import ROOT

CASES = list(goldens())


@pytest.mark.parametrize("golden, case", CASES, ids=[f"{c['formula']}-{i}" for i, (_, c) in enumerate(CASES)])
def test_a_loss_is_what_its_authors_code_says_of_the_same_logits(
    golden: Golden, case: Golden, tmp_path: Path
) -> None:
    """Value and gradient at every state's logits, to float32's rounding: our heads sum in it."""
    found = compared(golden, case, tmp_path)
    assert found.ok, (found.loss_apart, found.gradient_apart, found.ours.loss, found.theirs.loss)


def test_numbers_from_outside_cover_more_than_two_dozen_formulas() -> None:
    registry = methods.registry()
    assert len({registry[case["formula"]].formula for _, case in CASES}) >= 33


def test_what_makes_the_numbers_imports_nothing_of_this_project() -> None:
    allowed = {"tests.golden.authors", "torch", *sys.stdlib_module_names}
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert {name, name.partition(".")[0], ".".join(name.split(".")[:3])} & allowed, (path, name)


def test_the_tensors_are_those_of_their_seed() -> None:
    assert tensors.text(tensors.drawn()) == tensors.FILE.read_text()


def test_a_function_is_taken_out_of_a_file_whose_imports_are_not_there() -> None:
    source = """
import wandb
class Trainer(wandb.Base):
    @wandb.logged
    def loss(self, x: wandb.Tensor) -> wandb.Tensor:
        return self.beta * helper(x).to(torch.bfloat16)
def helper(x):
    return x + 1
"""
    found = code.functions(source, "Trainer.loss", "helper")
    x = torch.tensor([0.1], dtype=torch.float64)
    assert torch.equal(found.loss(SimpleNamespace(beta=2), x), 2 * (x + 1))
    with pytest.raises(LookupError, match=r"Trainer\.los "):
        code.functions(source, "Trainer.los")


def test_a_part_of_a_function_is_taken_out_of_it() -> None:
    source = """
class Trainer:
    def fit(self):
        for batch in self.loader():
            x = unknown(batch)
            with self.room:
                y = 2 * z
                if kind == "a":
                    loss = y + 1
                else:
                    loss = y
                loss = loss * 3
                self.step(loss)
"""
    assert code.lines(source, "Trainer.fit", "y", "loss", z=5, kind="a") == 33
    with pytest.raises(LookupError, match="assigns y and x"):
        code.lines(source, "Trainer.fit", "y", "x")


def test_a_file_that_is_not_the_authors_makes_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "trainers.py").write_text("def preference_loss(): ...")
    words = ("-m", "tests.golden.authors.make", str(tmp_path / "trainers.py"), "--out", str(tmp_path))
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    sha256 = hashlib.sha256((tmp_path / "trainers.py").read_bytes()).hexdigest()
    assert done.returncode == 2 and sha256 in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["trainers.py"]
