"""KTO's mismatched answers: each prompt with another prompt's response, of both sides alike."""

from pathlib import Path
from typing import Any

import pytest

from harness.data import prepare, token_sequences

PROMPTS = [[1, 2], [3], [4, 5, 6], [7]]
CHOSEN = [[10], [11, 11], [12, 12, 12], [13]]
REJECTED = [[20, 20, 20], [21], [22, 22], [23, 23, 23, 23]]
ROWS = [5, 6, 8, 9]  # of the data set: some were dropped before


def mismatched(
    folder: Path, max_length: int
) -> tuple[dict[int, tuple[list[int], list[int]]], dict[str, Any]]:
    """Row -> prompt and answer, and what the step measured."""
    for side, answers in (("chosen", CHOSEN), ("rejected", REJECTED)):
        rows = zip(ROWS, PROMPTS, answers, strict=True)
        token_sequences.write(folder / "pairs" / side, (token_sequences.response(*row) for row in rows))
    out = folder / "out"
    work = prepare.MISMATCHED.work({"max_length": max_length}, {"pairs": folder / "pairs"}, out, {})
    measured = prepare.run_mismatched(work)
    found = token_sequences.Sequences(out)
    read = [found[i] for i in range(len(found))]
    return {s.row: (s.ids[: s.mask.index(True)], s.ids[s.mask.index(True) :]) for s in read}, measured


def test_prompts_get_another_rows_answer_of_the_preferred_and_the_other_side_in_turn(tmp_path: Path) -> None:
    """z0 estimates a divergence from answers of both kinds: of the preferred alone it would be too large."""
    found, measured = mismatched(tmp_path, max_length=100)
    assert found == {
        5: ([1, 2], CHOSEN[1]),
        6: ([3], REJECTED[2]),
        8: ([4, 5, 6], CHOSEN[3]),
        9: ([7], REJECTED[0]),
    }
    assert measured["dropped"] == 0 and measured["sequences"] == 4


@pytest.mark.parametrize(
    "max_length, expected",
    [
        (4, {5: CHOSEN[1], 6: REJECTED[2], 8: CHOSEN[3], 9: REJECTED[0]}),
        (3, {5: CHOSEN[3], 6: REJECTED[2], 9: REJECTED[1]}),
    ],
)
def test_an_answer_too_long_for_a_prompt_makes_way_for_the_next_that_fits(
    max_length: int, expected: dict[int, list[int]], tmp_path: Path
) -> None:
    """Counted with the prompt; where none fits the prompt is left out and counted."""
    found, measured = mismatched(tmp_path, max_length)
    assert {row: answer for row, (_, answer) in found.items()} == expected
    assert measured["dropped"] == len(ROWS) - len(expected)
