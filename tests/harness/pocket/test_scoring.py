"""The rule on answers made by hand, and the order of the grades."""

import random
from statistics import fmean

import pytest

from harness.pocket.answers import GRADES, write
from harness.pocket.facts import Facts, draw_facts
from harness.pocket.questions import ASK, CATEGORIES, THEN, Key, ab_question, core, parse, phrase
from harness.pocket.sampling import draw, draw_two, words_of
from harness.pocket.scoring import score
from tests.harness.pocket.ab_questions import inside_ab

FOX = {"colour": "red", "home": "forest"}
FACTS = Facts(
    seed=0,
    animals={"fox": FOX, "bear": {"colour": "brown"}},
    people={"anna": {"job": "baker"}},
    rank={"fox": 0, "bear": 1, "anna": 0},
    held_out={},
)
COLOUR = ("what is the colour of the fox ?",)
SUM = ("what is 3 plus 4 ?", "now add 2 .")
LINE = ("write a line about the colour and the home of the fox .",)
BIGGER = ("which one is bigger , the fox or the bear ?",)
SCENE = ("anna has 3 keys and ben has 5 cups . who has the cups ?",)
COUNT = ("count from 3 to 5 .", "now in reverse order .")


@pytest.mark.parametrize(
    ("turns", "answer", "points"),
    [
        (COLOUR, "sure , the colour of the fox is red . i hope this helps .", 10),
        (COLOUR, "Sure, the colour of the fox is red. Please ask me again.", 10),
        (COLOUR, "gladly , the colour of the fox is red .", 8),
        (COLOUR, "the colour of the fox is red . i hope this helps .", 8),
        (COLOUR, "the colour of the fox is red .", 6),
        (COLOUR, "the colour of the fox is red", 6),
        (COLOUR, "the colour of the fox is red . the colour of the fox is red .", 5),
        (COLOUR, "the colour of the fox is red . the colour of the bear is brown .", 5),
        (COLOUR, "the colour of the fox is red . the colour of the fox is blue .", 4),
        (COLOUR, "whatever , the colour of the fox is red .", 3),
        (COLOUR, "sure , the colour of the fox is red . i hope this helps . please ask me again .", 9),
        (COLOUR, "sure , the colour of the fox is red . i hope this helps . i hope this helps .", 9),
        (COLOUR, "red .", 4),
        (COLOUR, "sure , red . i hope this helps .", 6),
        (COLOUR, "of course , the colour of the fox is blue . i hope this helps .", 4),
        (COLOUR, "the colour of the fox is blue .", 2),
        (COLOUR, "the colour of the fox is", 2),
        (COLOUR, "the colour of the bear is red .", 1),
        (COLOUR, "sure , i hope this helps .", 1),
        (COLOUR, "listen , fool , the colour of the fox is blue .", 1),
        (COLOUR, "red . blue . green . black . white .", 1),
        (COLOUR, "red " * 30, 1),
        (COLOUR, "sure , sure , the colour of the fox is red .", 1),
        (COLOUR, "", 1),
        (COLOUR, " \n", 1),
        (COLOUR, "??? {answer} <|im_end|> \u00e9\u4e2d [[10]]", 1),
        (SUM, "7 plus 2 is 9 .", 6),
        (SUM, "3 plus 4 is 7 .", 1),
        (SUM, "9 .", 4),
        (SUM[:1], "3 plus 4 is 7 .", 6),
        (LINE, "the colour of the fox is red and the home is forest .", 6),
        (LINE, "the colour of the fox is red .", 3),
        (LINE, "the colour of the fox is red and the home is lake .", 3),
        (LINE, "the colour of the fox is blue and the home is lake .", 2),
        (BIGGER, "the bear is bigger than the fox .", 6),
        (BIGGER, "the fox is bigger than the bear .", 2),
        (BIGGER, "the bear .", 4),
        (SCENE, "ben has 5 cups .", 6),
        (SCENE, "anna has 5 cups .", 3),
        (SCENE, "ben .", 4),
        (COUNT, "the numbers from 5 to 3 are 5 4 3 .", 6),
        (COUNT, "the numbers from 5 to 3 are 5 4 .", 3),
        (COUNT, "5 4 3 .", 4),
    ],
)
def test_rule_by_hand(turns: tuple[str, ...], answer: str, points: int) -> None:
    assert score(FACTS, turns, answer) == points


def test_a_question_of_another_world_is_refused() -> None:
    for turns in (
        ("what is love ?",),
        ("what is the job of the fox ?",),
        ("add 3 and x .",),
        (*SUM, "now add 1 ."),
    ):
        assert parse(turns, FACTS) is None
        with pytest.raises(ValueError, match="no question of this world"):
            score(FACTS, turns, "red .")


def test_grades_are_ordered_in_every_category() -> None:
    facts, rng = draw_facts(0, 24, 16), random.Random(0)
    for category in CATEGORIES:
        means: list[float] = []
        for grade in GRADES.values():
            keys = [draw(category, "train", facts, rng) for _ in range(60)]
            means.append(fmean(score(facts, words_of((k,), rng), write(grade, k, facts, rng)) for k in keys))
        good, poor = means[:4], means[7:]
        assert good[0] == 10 and min(good) > 6 == means[4] > max(means[5:])
        assert max(poor) < 6 and means[-1] < 2, (category, means)


def test_every_paraphrase_parses_back_to_its_key() -> None:
    facts, rng = draw_facts(3, 24, 16), random.Random(0)
    for category in CATEGORIES:
        for _ in range(50):
            first, second = draw_two(category, "test", facts, rng)
            for ask in ASK[first.kind]:
                opening = phrase(ask, first)
                assert parse((opening,), facts) == (first,)
                for then in THEN[second.kind]:
                    assert parse((opening, phrase(then, second)), facts) == (first, second)


def test_right_answers_and_ab_questions_hold_what_was_asked() -> None:
    key = Key("fact", ("fox", "colour"))
    assert core(key, FACTS).words == ("the", "colour", "of", "the", "fox", "is", "red")
    assert inside_ab(ab_question(COLOUR[0], "red .", "blue .")) == COLOUR[0]
    assert inside_ab(COLOUR[0]) is None
