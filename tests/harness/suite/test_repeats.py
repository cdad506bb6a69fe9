"""`judges.x.repeats`: which questions are judged again, and what is no such setting."""

import random

import pytest

from harness.suite.judging import Repeats
from tests import suites
from tests.paths import TINY

JUDGE = "judges.noisy={model: noisy}"
QUESTIONS = [str(n) for n in range(81, 161)]


def repeats(given: str) -> Repeats | None:
    found: Repeats | None = suites.load(TINY, [JUDGE, given]).judges["noisy"].settings.repeats
    return found


def test_a_number_alone_is_how_often_every_question_is_judged() -> None:
    assert repeats("judges.noisy.repeats=3") == Repeats(1.0, 3)
    assert repeats("judges.noisy.repeats={share: 0.1}") == Repeats(0.1, 2)
    assert repeats("judges.noisy.repeats={share: 0.5, times: 4}") == Repeats(0.5, 4)
    assert repeats("judges.noisy.repeats=") is None


ALONE = "a whole number from 2 on, or {share: 0.1, times: 2}"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("repeats=1", "repeats: given 1; input should be greater than or equal to 2"),
        ("repeats=0.1", f"repeats: given 0.1; {ALONE}"),
        ("repeats=true", f"repeats: given True; {ALONE}"),
        ("repeats={share: 0}", "repeats.share: given 0; input should be greater than 0"),
        ("repeats={share: 10}", "repeats.share: given 10; input should be less than or equal to 1"),
        ("repeats={share: .nan}", "repeats.share: given nan; input should be less than or equal to 1"),
        ("repeats={times: 1}", "repeats.times: given 1; input should be greater than or equal to 2"),
        ("repeats={shar: 0.1}", "repeats.shar: unknown key; did you mean 'share'?"),
        ("repeat=3", "repeat: unknown key; did you mean 'repeats'?"),
    ],
)
def test_what_is_no_such_setting_is_one_line(given: str, fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        repeats(f"judges.noisy.{given}")
    assert str(refused.value) == f"{TINY}: judges.noisy.{fault}"


def test_the_sample_is_of_the_ids_alone_and_a_larger_one_holds_a_smaller() -> None:
    """A tenth of 80 is 8, of 30 it is 3; of 3 questions at least one is judged again."""
    tenth = Repeats(0.1).sample(QUESTIONS)
    shuffled = random.Random(0).sample(QUESTIONS, len(QUESTIONS))
    assert tenth == Repeats(0.1).sample(shuffled) and len(tenth) == 8
    assert tenth < Repeats(0.3).sample(QUESTIONS) < Repeats(1.0).sample(QUESTIONS) == set(QUESTIONS)
    assert len(Repeats(0.1).sample(QUESTIONS[:30])) == 3 and len(Repeats(0.1).sample(QUESTIONS[:3])) == 1
    # The first questions are of one kind in most benchmarks.
    assert tenth != set(QUESTIONS[:8])


def test_who_a_judge_is_does_not_depend_on_its_repeats() -> None:
    once, again = (
        suites.load(TINY, [JUDGE, *more]).judges["noisy"] for more in ((), ("judges.noisy.repeats=3",))
    )
    assert once.kind.identity(once.settings) == again.kind.identity(again.settings)
    assert once.settings.model_dump() == again.settings.model_dump()
    assert again.asked_once() == once
