"""What a running step tells of how far it is: now and then, whole, and nowhere once it is over."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.common.underway import news


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a step that tells each time."""
    monkeypatch.setattr(news, "EVERY", 0.0)
    told = tmp_path / "running" / "3f9c01d2ab77.json"
    with news.telling(told):
        yield told


def told(file: Path) -> str:
    found = news.read(file)
    assert found
    return re.sub(r"[\d,.]+( tokens)?/(s|min)", r"N\1/T", found.text)


def test_a_count_tells_what_is_done_since_it_began_and_how_long_the_rest_takes(file: Path) -> None:
    began = time.monotonic()
    training = news.count("optimizer step", 24, 12, tokens=1000)
    assert told(file) == "optimizer step 12/24" and json.loads(file.read_text())["left"] is None
    training.at(18, "loss 0.613", 1600)
    assert told(file) == "optimizer step 18/24, loss 0.613, N tokens/T"
    spent = time.monotonic() - began
    assert 0 < json.loads(file.read_text())["left"] <= spent, "6 of 12 since it began"


def test_what_is_counted_inside_stands_behind_the_whole_until_it_is_done(file: Path) -> None:
    training = news.count("optimizer step", 4)
    drawn = news.count("answers", 2)
    drawn.at(1)
    assert told(file) == "optimizer step 0/4, answers 1/2, N/T"
    drawn.at(2)
    training.at(1)
    assert told(file) == "optimizer step 1/4, N/T"


def test_parts_of_a_whole_add_up_and_what_was_kept_of_them_has_no_speed(file: Path) -> None:
    with news.whole("calls", 8), news.whole("calls", 3):
        news.count("calls", 3).at(3)
        second = news.count("calls", 5, 4)
        assert told(file) == "calls 7/8, N/T"
        second.at(5)
        assert told(file) == "calls 8/8, N/T"
    news.count("calls", 3).at(1)
    assert told(file) == "calls 1/3, N/T"


def test_it_is_written_once_in_a_while_and_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "EVERY", 60.0)
    file = tmp_path / "running" / "3f9c01d2ab77.json"
    with news.telling(file):
        counted = news.count("answers", 1000)
        for done in range(1000):
            counted.at(done)
        assert told(file) == "answers 0/1,000", "a write for each would slow a step down"
        assert list(file.parent.iterdir()) == [file]
    assert not file.exists() and news.read(file) is None


def test_a_step_runs_where_nothing_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "running").touch()
    with news.telling(tmp_path / "running" / "3f9c01d2ab77.json"):
        news.count("answers", 2).at(1)
    news.count("answers", 2).at(1)
    with news.whole("answers", 2):
        news.count("answers", 2).at(1)
    assert news.file() is None
