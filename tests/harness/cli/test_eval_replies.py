"""What is read in judges' replies: several ratings, thoughts, cut ends, marked tokens; and what is told."""

from pathlib import Path

import pytest

from tests.harness.cli.test_eval import bench, rows, world
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY_ENV

__all__ = ["world"]

SUITE = """
name: e
models: {{told: {{control: constant}}, echoed: {{control: copy}}}}
judges:
  plain: {{model: gpt-4, {where}}}
  quoting: {{model: quoting, {where}}}
  thinker: {{model: thinker, {where}}}
  cut: {{model: cut, {where}}}
  marked: {{model: marked, {where}}}
benchmarks:
  mt-bench: {{judge: plain, data: {world}/mt-bench}}
  first: {{like: mt-bench, judge: quoting, data: {world}/mt-bench}}
  last: {{like: mt-bench, judge: quoting, rating: last, data: {world}/mt-bench}}
  thoughts: {{like: mt-bench, judge: thinker, data: {world}/mt-bench}}
  ends: {{like: mt-bench, judge: cut, data: {world}/mt-bench}}
  arena-hard: {{judge: thinker, data: {world}/arena-hard}}
  alpaca-eval-2: {{judge: marked, reference: echoed, data: {world}/alpaca-eval}}
"""
MUMBLES = """
from pathlib import Path
from benchmarks.api import Reply
from harness.evaluate.judges import computed

def judge(messages):
    with (Path(__file__).parent / "asked").open("a") as asked:
        asked.write("x")
    return Reply("The", {"The": -0.1, "Based": -3.0})

JUDGE = computed("mumbles", judge)
"""


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in which judges reply in their own ways, each to the same prompts."""
    runs = tmp_path_factory.mktemp("runs")
    for server in judging_server.running(runs / "log.jsonl"):
        where = f'base_url: "{server.url}", api_key_env: {KEY_ENV}'
        (runs / "e.yaml").write_text(SUITE.format(where=where, world=world))
        done = bench("run", str(runs / "e.yaml"), "--runs", str(runs))
        assert done.returncode == 0, done.stderr
    return runs


def test_a_judge_that_cannot_be_tried_before_is_given_up_after_its_first_tokens(
    world: Path, tmp_path: Path
) -> None:
    """Of twelve verdicts eight are asked for."""
    (tmp_path / "mumbles.py").write_text(MUMBLES)
    suite = f"""
name: e
models: {{told: {{control: constant}}, echoed: {{control: copy}}}}
benchmarks:
  alpaca-eval-2: {{judge: mumbles, reference: echoed, order: both, data: "{world}/alpaca-eval"}}
"""
    (tmp_path / "e.yaml").write_text(suite)
    words = ["run", str(tmp_path / "e.yaml"), "--runs", str(tmp_path), "--judge-file"]
    done = bench(*words, str(tmp_path / "mumbles.py"))
    assert done.returncode == 2, done.stdout
    assert "mumbles: the first tokens of its first 8 replies hold no verdict" in done.stderr
    assert len((tmp_path / "asked").read_text()) == 8


def values(runs: Path, benchmark: str, method: str = "told") -> list[float | None]:
    return [r["value"] for r in rows(runs) if (r["benchmark"], r["method"]) == (benchmark, method)]


def test_of_several_ratings_the_first_counts_as_in_fastchat_or_the_last(finished: Path) -> None:
    plain = values(finished, "mt-bench")
    assert values(finished, "first") == [10.0] * 6
    assert values(finished, "last") == plain != [10.0] * 6


def test_what_a_judge_thinks_is_no_verdict(finished: Path) -> None:
    assert values(finished, "thoughts") == values(finished, "mt-bench")
    assert None not in values(finished, "arena-hard")  # two labels that differ would be no verdict


def test_replies_with_several_ratings_and_cut_ones_are_counted_in_the_cell(finished: Path) -> None:
    table = (finished / "e" / "tables" / "main.md").read_text()
    differing = sum(value != 10 for value in values(finished, "last"))
    assert f"{differing} of 6 by a reply with verdicts that differ" in table
    assert values(finished, "ends") == values(finished, "mt-bench")
    assert "6 of 6 by a reply that was cut" in table


def test_a_judge_whose_tokens_bear_the_mark_of_a_words_beginning_is_read(finished: Path) -> None:
    """The server gives " m" and " M" -0.1 and -2.5: a weight of 0.917 or 0.083."""
    found = values(finished, "alpaca-eval-2")
    assert len(found) == 6 and {round(v or 0, 3) for v in found} <= {0.917, 0.083}
