"""A loss of one's own on a made-up batch: what it may not do to it, and what is told of it."""

import re
from pathlib import Path

import pytest
import torch

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.run.checks import loss_checks, method_checks
from harness.suite.method_file import methods_in, with_rows
from methods.api import Method
from tests import suites
from tests.fuzz.cases import HEAD
from tests.paths import TINY


def look(loss: str, folder: Path) -> list[str]:
    file = folder / "m.py"
    file.write_text(f"{HEAD}import itertools\nn = itertools.count()\n{loss}\nMETHOD = make(loss=loss)\n")
    own = methods_in(str(file))
    suite = with_rows(suites.load(TINY, ["benchmarks={}"]), own, [])
    plan = planning.plan(suite, methods.registry(own), Machine(), method_file=str(file))
    method_checks.check(plan.steps)
    return [*method_checks.notes(plan.steps)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("b.chosen.mask.zero_()", "changes the batch in place, chosen's mask"),
        ("b.rejected.logps('policy').mul_(2)", "in place, rejected's log-probs of policy"),
        ("return {f'x{next(n)}': good(b, hp)['hinge']}", "names other terms each time: ['x0'], ['x1']"),
        (
            "return {'two\\nlines': good(b, hp)['hinge']}",
            "the name 'two\\nlines' of a term; a printable text",
        ),
    ],
)
def test_what_a_batch_or_its_terms_may_not_be_is_told(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as fault:
        look(f"def loss(b, hp):\n    {line}\n    return good(b, hp)", tmp_path)
    assert told in str(fault.value)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("good(b, hp)['hinge'] * (1 + next(n))", r"x is ([\d.]+) and then ([\d.]+) of one batch"),
        ("good(b, hp)['hinge'] + torch.rand(())", r"x is [\d.]+ and then [\d.]+ of one batch"),
        (
            "-seq_sum(b.chosen.logps('policy'), b.chosen).mean()",
            r"x is ([\d.]+) of two examples at once and ([\d.]+) of one after the other",
        ),
        ("-example_mean(b.chosen.logps('policy').mean(-1), b)", "x is .+ of two examples at once"),
        ("torch.tensor(1.0) + good(b, hp)['hinge']", "x is .+ of two examples at once"),
        (
            "good(b, hp)['hinge'].detach() + (p := b.chosen.logps('policy').mean()) - p.detach()",
            "one gradient of two examples at once and another of one after the other",
        ),
    ],
)
def test_a_loss_that_is_another_each_time_or_of_other_micro_batches_is_told(
    loss: str, told: str, tmp_path: Path
) -> None:
    (note,) = look(f"def loss(b, hp):\n    return {{'x': {loss}}}", tmp_path)
    assert len(note) < 300 and "m.py: Hinge's loss" in note
    found = re.search(told, note)
    assert found, note
    if len(found.groups()) == 2:
        first, second = map(float, found.groups())
        assert second == pytest.approx(2 * first, rel=1e-4)


@pytest.mark.parametrize("method", methods.BUILT_IN, ids=lambda method: method.name)
def test_of_what_ships_nothing_would_be_told(method: Method) -> None:
    method_checks._try(method, method.hparams, "m.py")
    weights, batch, _ = method_checks._made_up(method, method.hparams, "m.py")
    loss_checks.check("m.py", method.loss, method.hparams, batch, weights)


def test_what_rounding_leaves_of_larger_numbers_is_no_difference(tmp_path: Path) -> None:
    assert not look(
        "def loss(b, hp):\n    x = b.chosen.logps('policy')\n"
        "    return {**good(b, hp), 'nought': x.sum() - x.flip(1).sum() + (x / 3).sum() - x.sum() / 3}",
        tmp_path,
    )


def test_a_loss_may_change_what_it_made_itself(tmp_path: Path) -> None:
    assert not look(
        "def loss(b, hp):\n    b.chosen.logps('policy').mul(2).add_(1)\n    return good(b, hp)", tmp_path
    )


def test_what_everybody_computes_by_is_not_changed(tmp_path: Path) -> None:
    loss = "def loss(b, hp):\n    torch.set_default_dtype(torch.float64)\n    return good(b, hp)"
    with pytest.raises(ValueError, match=r"m\.py: it changes torch's defaults to torch\.float64"):
        look(loss, tmp_path)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("where", ["", "def loss(b, hp):\n    "])
def test_how_all_products_are_rounded_is_not_changed(where: str, tmp_path: Path) -> None:
    loss = f"{where}torch.set_float32_matmul_precision('high')\n"
    loss += "    return good(b, hp)" if where else "loss = good"
    with pytest.raises(ValueError, match=r"m\.py: it changes torch's float32_matmul_precision to high"):
        look(loss, tmp_path)
    torch.set_float32_matmul_precision("highest")  # its import was in this process, too


def test_the_line_of_a_loss_that_kills_its_process_is_told(tmp_path: Path) -> None:
    loss = "import ctypes\ndef loss(b, hp):\n    return ctypes.string_at(0)"
    with pytest.raises(
        ValueError, match=r"m\.py:35: Hinge on a made-up batch: its process was killed \(SIGSEGV\)$"
    ):
        look(loss, tmp_path)
