"""Replicates in words: which seeds, of which worlds, and which levels of chance they cover."""

import pytest

from reports.records.replicates import among, fewer, listed, replicated
from reports.statistics.bootstrap import Replicate

SEEDS = {Replicate(7, seed) for seed in (0, 1, 2)}
WORLDS = {Replicate(world, 0) for world in (2, 0, 1)}
CROSSED = {Replicate(world, seed) for world in (0, 1) for seed in (0, 1, 2)}
RAGGED = {Replicate(0, 0), Replicate(0, 1), Replicate(1, 10)}


@pytest.mark.parametrize(
    ("replicates", "seeds", "levels"),
    [
        (SEEDS, "seeds 0, 1, 2", "3 seeds of the last stage, base models not replicated"),
        (WORLDS, "worlds 0, 1, 2 x seed 0", "3 base models x 1 seed of the last stage"),
        (CROSSED, "worlds 0, 1 x seeds 0, 1, 2", "2 base models x 3 seeds of the last stage"),
        (
            RAGGED,
            "world 0: seeds 0, 1; world 1: seed 10",
            "2 base models, 1 to 2 seeds of the last stage each",
        ),
        ({Replicate(0, 0)}, "seed 0", "1 seed of the last stage, base models not replicated"),
    ],
)
def test_replicates_are_listed_and_their_levels_told(
    replicates: set[Replicate], seeds: str, levels: str
) -> None:
    assert listed(replicates) == seeds
    assert replicated([replicates]) == levels


def test_the_same_number_of_other_seeds_is_no_cross() -> None:
    nested = {Replicate(0, 0), Replicate(0, 1), Replicate(1, 2), Replicate(1, 3)}
    assert listed(nested) == "world 0: seeds 0, 1; world 1: seeds 2, 3"
    assert replicated([nested]) == "2 base models x 2 seeds of the last stage"


def test_base_models_of_one_row_each_replicate_nothing() -> None:
    rows = [{Replicate(0, 0), Replicate(0, 1)}, {Replicate(1, 0)}]
    assert replicated(rows) == "2 seeds of the last stage, base models not replicated"
    assert replicated([*rows, {Replicate(0, 0), Replicate(1, 0)}]).startswith("2 base models, 1 to 2 seeds")


def test_a_row_with_fewer_names_what_it_has_of_what_there_is() -> None:
    assert fewer({Replicate(7, 0)}, SEEDS) == "seed 0 of 0, 1, 2"
    assert fewer({Replicate(1, 0)}, CROSSED) == "world 1: seed 0 of worlds 0, 1 x seeds 0, 1, 2"


def test_one_of_several_is_told_by_what_differs() -> None:
    one = Replicate(1, 0)
    assert among(one, CROSSED) == ["world 1", "seed 0"]
    assert among(one, WORLDS) == ["world 1"]
    assert among(Replicate(7, 0), SEEDS) == ["seed 0"]
    assert among(one, {one}) == []
