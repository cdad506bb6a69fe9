"""Seeds of a row's own: how many runs each has, whom they are compared with, and what nobody has."""

from collections import Counter

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan.plan import Plan
from harness.suite.schema import row_count
from tests import suites
from tests.bench_command import bench
from tests.paths import TINY


def plan(*overrides: str, only: tuple[str, ...] = ()) -> Plan:
    return planning.plan(suites.load(TINY, overrides), methods.registry(), Machine(), only=only)


def runs(p: Plan) -> dict[str, list[int]]:
    return {m: [c.seed for c in p.cells if c.method == m] for m in dict.fromkeys(c.method for c in p.cells)}


def test_a_row_has_its_own_seeds_and_all_others_theirs() -> None:
    p = plan("benchmarks.alpaca-eval.reference=Student", "seeds={SFT: 3, DPO: [4, 2], '*': 1}")
    one = {m: [0] for m in ("Teacher", "Student", "DCKD", "ADPA", "ADPA+")}
    assert runs(p) == {**one, "SFT": [0, 1, 2], "DPO": [2, 4]}
    assert row_count(p.suite) == len(p.cells) == 10


def test_a_number_is_that_of_seeds_from_0_and_a_list_stays_what_it_was() -> None:
    """Steps, their order and the cells: nothing tells one way to write it from the other."""
    listed, counted = plan("seeds=[0, 1]"), plan("seeds={'*': 2}")
    assert [s.id for s in listed.steps] == [s.id for s in counted.steps]
    cells = ([(c.method, c.seed, c.model.id) for c in p.cells] for p in (listed, counted))
    assert next(cells) == next(cells)


def test_rows_that_are_not_named_have_one_seed() -> None:
    assert runs(plan("seeds.ADPA=2"))["ADPA"] == [0, 1] and runs(plan("seeds.ADPA=2"))["DPO"] == [0]


def test_more_seeds_of_one_row_train_that_row_alone() -> None:
    reference = "benchmarks.alpaca-eval.reference=Student"
    kinds = [
        Counter(s.label for s in plan(reference, seeds).steps if s.kind.name == "train")
        for seeds in ("seeds=[0]", "seeds={SFT: 3, '*': 1}")
    ]
    assert kinds[1] - kinds[0] == {"SFT": 2}


@pytest.mark.parametrize("seeds", ["{SFT: 3, '*': 1}", "{SFT: 3, ADPA: 2}", "{'*': 3, ADPA: 1}"])
def test_a_reference_without_the_seeds_of_those_compared_with_it_is_refused(seeds: str) -> None:
    """It would be trained for them all the same, with no row of its own to show for it."""
    with pytest.raises(ValueError, match=r"seeds.ADPA: it lacks .*2, which .* has and benchmarks.alpaca"):
        plan(f"seeds={seeds}")
    assert runs(plan("seeds={SFT: 3, ADPA: 3, '*': 1}"))["ADPA"] == [0, 1, 2]


def test_a_reference_that_is_no_row_needs_none() -> None:
    assert runs(plan("seeds={SFT: 3, '*': 1}", only=("SFT",)))["SFT"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("{STF: 3}", "seeds.STF: no row 'STF'; did you mean 'SFT'?"),
        ("{SFT: 0}", "seeds.SFT: given 0; a number of seeds is from 1 to 1,000"),
        ("{SFT: 1000000000}", "seeds.SFT: given 1000000000; a number of seeds is from 1 to 1,000"),
        ("{SFT: [1, 1]}", "seeds.SFT: given [1, 1]; each seed is a row of its own"),
        ("{SFT: []}", "seeds.SFT: given []"),
        ("{SFT: [-1]}", "seeds.SFT.0: given -1; input should be greater than or equal to 0"),
        ("{SFT: true}", "seeds.SFT: given True; input should be a number"),
        ("{'*': many}", "seeds.*: given 'many'"),
    ],
)
def test_seeds_that_cannot_be_are_one_line(seeds: str, message: str) -> None:
    with pytest.raises(ValueError) as e:
        suites.load(TINY, [f"seeds={seeds}"])
    assert message in str(e.value) and "\n" not in str(e.value)


def test_a_misspelt_row_ends_the_command_with_2() -> None:
    done = bench("run", TINY, "--plan", "--set", "seeds={STF: 3}")
    assert done.returncode == 2 and "did you mean 'SFT'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
