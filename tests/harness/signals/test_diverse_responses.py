"""Which of several responses stay in a group."""

from pathlib import Path

import pytest

from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.signals import diverse_responses
from harness.signals.diverse_responses import GROUP, edit_distance, most_different


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("kitten", "sitting", 3),  # k -> s, e -> i, + g
        ("saturday", "sunday", 3),
        ("flaw", "lawn", 2),
        ("abc", "abc", 0),
        ("abc", "", 3),
        ("", "abc", 3),
        ("a", "bbbab", 4),
    ],
)
def test_edit_distances_known_by_heart(a: str, b: str, distance: int) -> None:
    left, right = [ord(c) for c in a], [ord(c) for c in b]
    assert edit_distance(left, right) == edit_distance(right, left) == distance


def test_the_farthest_two_stay_and_then_the_one_farthest_from_both() -> None:
    """Distances: 0-1: 1, 0-2: 4, 0-3: 4, 1-2: 4, 1-3: 4, 2-3: 3. The pair 0, 2 is the first of the farthest;
    then 1 is 1 from 0, and 3 is 3 from 2.
    """
    answers = [(1, 1, 1, 1), (1, 1, 1, 2), (3, 3, 3, 3), (3, 4, 4, 4)]
    assert edit_distance(answers[2], answers[3]) == 3
    assert most_different(answers, 2) == [0, 2]
    assert most_different(answers, 3) == [0, 2, 3]


def grouped(folder: Path, answers: dict[int, list[list[int]]], keep: int) -> tuple[Sequences, dict[str, int]]:
    """The group of these sampled responses to the prompt [7, 7] of each row."""
    rows = (token_sequences.response(row, [7, 7], ids) for row, sampled in answers.items() for ids in sampled)
    token_sequences.write(folder / "rollouts", rows)
    out = folder / "out"
    out.mkdir()
    counts = diverse_responses.run(GROUP.work({"keep": keep}, {"rollouts": folder / "rollouts"}, out, {}))
    return Sequences(out), counts


def test_a_prompt_with_too_few_different_responses_is_dropped_and_counted(tmp_path: Path) -> None:
    answers = {4: [[1], [2], [1], [3, 3]], 5: [[1], [1], [1], [2]], 9: [[1], [2], [3], [3]]}
    found, counts = grouped(tmp_path, answers, keep=3)
    assert counts["dropped"] == 1
    assert found.rows.tolist() == [4, 4, 4, 9, 9, 9]
    assert [found[i].ids[2:] for i in range(3)] == [[1], [2], [3, 3]]


def test_no_group_at_all_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no prompt has 2 different responses"):
        grouped(tmp_path, {0: [[1], [1]]}, keep=2)


def test_pads_released_choice_is_another_where_its_page_says_so() -> None:
    """That code begins with the first text and counts characters: of 0, 1, 2 it keeps 0 and the farther."""
    texts = ["a b c", "d", "a b c d e f"]
    words = [[ord(word) for word in text.split()] for text in texts]
    from_first = [edit_distance([ord(c) for c in texts[0]], [ord(c) for c in text]) for text in texts]
    assert from_first == [0, 5, 6] and most_different(words, 2) == [1, 2]
