"""`bench show`: the answers behind a number, in the terminal."""

from dataclasses import replace

import pytest

from reports.answers_in_terminal import shown
from tests.reports.page import page_run

TEXTS = page_run.texts(said="hello")


def test_two_answers_stand_with_every_verdict_on_them() -> None:
    told = shown(TEXTS, ["SFT", "Student"], "mt-bench", "3").splitlines()
    assert told[0] == "mt-bench, question 3 (math), judge rule; pair, data"
    lines = [line for line in told if line.startswith(("turn", "---", ">>"))]
    assert [line.partition(": Question")[0] for line in lines] == [
        "turn 1", "--- SFT, 3 tokens", ">> 5: Rating: [[4]]", "--- Student, 3 tokens", ">> 4: Rating: [[4]]",
        "turn 2", "--- SFT, 3 tokens", ">> 5: Rating: [[4]]", "--- Student, 3 tokens", ">> 4: Rating: [[4]]",
    ]  # fmt: skip


def test_a_reference_stands_beside_what_is_compared_with_it_in_both_orders() -> None:
    told = shown(TEXTS, ["SFT"], "alpaca-eval", "1")
    assert "judge rule, against ADPA" in told and "--- ADPA, the reference\nADPA says hello" in told
    assert ">> 1 (shown first): ab" in told and ">> 1 (shown second): ba" in told


def test_each_world_and_seed_shows_the_reference_that_it_was_compared_with() -> None:
    texts = [
        replace(t, world_seed=world, seed=seed, reference_answer=f"{world} {seed}" if t.reference else "")
        for t in TEXTS
        for world, seed in ((0, 0), (1, 0), (1, 2))
    ]
    told = shown(texts, ["SFT"], "alpaca-eval", "1")
    for world, seed in ((0, 0), (1, 0), (1, 2)):
        assert f"--- ADPA, world {world}, seed {seed}, the reference\n{world} {seed}\n" in told
        assert told.count(f"--- SFT, world {world}, seed {seed}, 3 tokens") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((["STF"], "mt-bench", "3"), "no method 'STF'; did you mean 'SFT'?"),
        ((["SFT"], "mt-bensch", "3"), "no benchmark 'mt-bensch'; did you mean 'mt-bench'?"),
        ((["SFT"], "mt-bench", "99"), "no question '99'; there are: 1, 2, 3, 4, 5, 6"),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest(
    words: tuple[list[str], str, str], message: str
) -> None:
    with pytest.raises(ValueError) as e:
        shown(TEXTS, *words)
    assert str(e.value) == message
