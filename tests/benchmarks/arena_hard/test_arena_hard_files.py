"""Arena-Hard's files: both of upstream's layouts read, one written, and every real judgment read again."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api import Answer, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.arena_hard import files as arena_hard_files
from tests.benchmarks.arena_hard import published

JUDGMENTS = "arena_hard/judgments_v0.1_bagel-8b-v1.0_by_DeepSeek-R1-Distill-Llama-70B_181q.jsonl.gz"
BAGEL = "jondurbin/bagel-8b-v1.0"
NASTY = "{ANSWER_B} {QUESTION} {0} <|im_end|> [[B>>A]] \u2028\u0085\r\n \U0001f600"


def answer(id: str, text: str) -> Answer:
    return Answer(id, (text,), (0,), (False,))


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def verdict(id: str, order: str, value: float | None, **more: str) -> dict[str, Any]:
    return {
        "question": id,
        "category": "hard_prompt",
        "order": order,
        "value": value,
        "reply": f"{id} {order}",
    } | more


def test_every_real_game_reads_again_as_it_was_stored(shared_data: Path) -> None:
    """Both versions' reading: the label in the text is the stored one in 362 games, 8 of them without."""
    benchmarks = [arena_hard.load(shared_data / "arena_hard", version=v)[1] for v in ("v0.1", "v2.0")]
    verdicts = published.read_verdicts(shared_data / JUDGMENTS)[BAGEL]
    for benchmark in benchmarks:
        read = [
            benchmark.parse(JudgeRequest(v["question"], (), order=v["order"]), Reply(v["reply"]))
            for v in verdicts
        ]
        assert [None if isinstance(value, Unparsed) else value for value in read] == [
            v["value"] for v in verdicts
        ]
    assert len(verdicts) == 362 and sum(v["value"] is None for v in verdicts) == 8


def test_the_orders_are_upstreams_games(shared_data: Path) -> None:
    """Game 1 shows the baseline's answer as A, game 2 as B: the prompts in the file say so."""
    folder = shared_data / "arena_hard"
    baseline = arena_hard_files.read_answers(folder / "model_answer_v0.1_gpt-4-0314.jsonl.gz")
    for v in published.read_verdicts(shared_data / JUDGMENTS)[BAGEL]:
        side = "B" if v["order"] == "ab" else "A"
        theirs = baseline[v["question"]].turns[0]
        assert f"<|The Start of Assistant {side}'s Answer|>\n{theirs}\n<|The End of" in v["prompt"]


def test_real_judgments_come_back_the_same_from_our_file(shared_data: Path, tmp_path: Path) -> None:
    theirs = published.read_verdicts(shared_data / JUDGMENTS)[BAGEL]
    path = arena_hard_files.write_judgments(tmp_path, "r1", "bagel", theirs)
    assert path == tmp_path / "model_judgment/r1/bagel.jsonl"
    ours = published.read_verdicts(path)["bagel"]
    assert {(v["question"], v["order"]): v for v in ours} == {(v["question"], v["order"]): v for v in theirs}

    stored = {row["question_id"]: row for row in arena_hard_files.read_rows(shared_data / JUDGMENTS)}
    rows = list(arena_hard_files.read_rows(path))
    assert [row["uid"] for row in rows] == sorted(stored)
    for row in rows:
        assert [g["score"] for g in row["games"]] == [g["score"] for g in stored[row["uid"]]["games"]]


def test_real_verdicts_are_those_that_upstream_counted(shared_data: Path) -> None:
    """From the view of the model: labels of game 1 turned round, of game 2 as they are."""
    found = Counter(v["value"] for v in published.read_verdicts(shared_data / JUDGMENTS)[BAGEL])
    labels: Counter[Any] = Counter()
    turned = {"A>>B": "B>>A", "A>B": "B>A", "A=B": "A=B", "B>A": "A>B", "B>>A": "A>>B", None: None}
    for row in arena_hard_files.read_rows(shared_data / JUDGMENTS):
        first, second = (game["score"] for game in row["games"])
        labels.update([turned[first], second])
    values = {"A>>B": 1.0, "A>B": 0.75, "A=B": 0.5, "B>A": 0.25, "B>>A": 0.0, None: None}
    assert found == {values[label]: count for label, count in labels.items()}


def test_what_our_file_says_is_read_by_upstreams_own_lines(tmp_path: Path) -> None:
    """Its show_result reads uid, model, category and games[i]["score"]; a game not there is a null."""
    rows = [verdict("q", "ab", 0.75), verdict("q", "ba", 1.0, prompt=NASTY), verdict("p", "ab", None)]
    path = arena_hard_files.write_judgments(tmp_path, "judge", "m", rows)
    second, first = (json.loads(line) for line in reversed(path.read_text().splitlines()))
    assert (first["uid"], first["category"], first["model"]) == ("p", "hard_prompt", "m")
    assert first["games"] == [None, {"score": None, "judgment": {"answer": "p ab"}}]
    assert [game["score"] for game in second["games"]] == ["B>>A", "A>B"]
    assert second["games"][0]["prompt"][-1]["content"] == NASTY
    assert second["baseline"] == "o3-mini-2025-01-31"

    again = published.read_judgments(path)["m"]
    assert again == [
        Score("p", Unparsed(""), "hard_prompt", 1, "ba"),
        Score("p", Unparsed("p ab"), "hard_prompt", 1, "ab"),
        Score("q", 1.0, "hard_prompt", 1, "ba"),
        Score("q", 0.75, "hard_prompt", 1, "ab"),
    ]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_labels_and_values_turn_into_each_other(order: str) -> None:
    for label in ("A>>B", "A>B", "A=B", "B>A", "B>>A"):
        value = arena_hard_files.value_of(label, order)
        assert value is not None and arena_hard_files.label_of(value, order) == label
    assert arena_hard_files.value_of("B<<A", order) == arena_hard_files.value_of("A>>B", order)
    assert arena_hard_files.value_of("A<B", order) == arena_hard_files.value_of("B>A", order)
    assert arena_hard_files.value_of("A>>>B", order) is None
    with pytest.raises(ValueError, match=r"no verdict has the value 0\.6; known: 1\.0, 0\.75"):
        arena_hard_files.label_of(0.6, order)


def test_a_win_as_A_is_a_loss_as_B() -> None:
    assert arena_hard_files.value_of("A>>B", "ab") == 1.0
    assert arena_hard_files.value_of("A>>B", "ba") == 0.0
    assert arena_hard_files.value_of("B>A", "ba") == 0.75


def test_answers_come_back_and_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    answers = [answer("b", NASTY), answer("a", "")]
    path = arena_hard_files.write_answers(tmp_path / "one", "m", answers, [Question("b", ("ask",))])
    again = arena_hard_files.write_answers(tmp_path / "two", "m", answers[::-1], [Question("b", ("ask",))])
    assert path.read_bytes() == again.read_bytes()
    assert arena_hard_files.read_answers(path) == {a.question: a for a in answers}
    asked = [[m["role"] for m in row["messages"]] for row in arena_hard_files.read_rows(path)]
    assert asked == [["assistant"], ["user", "assistant"]]


def test_real_answers_are_read_with_the_tokens_that_the_file_tells(shared_data: Path) -> None:
    folder = shared_data / "arena_hard"
    told = arena_hard_files.read_answers(arena_hard_files.answers_path(folder, "v2.0", "o3-mini-2025-01-31"))
    untold = arena_hard_files.read_answers(arena_hard_files.answers_path(folder, "v0.1", "gpt-4-0314"))
    assert (len(told), told["0253f09025cc40cd"].tokens) == (750, (179,))
    assert (len(untold), {a.tokens for a in untold.values()}) == (500, {(0,)})


def test_the_layout_of_2024_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "data/arena-hard-v0.1"
    turns = [{"content": "ask"}]
    write(folder / "question.jsonl", {"question_id": "q", "category": "arena-hard-v0.1", "turns": turns})
    counts = {"header_count": {"h1": 1, "h2": 2}, "list_count": {"ordered": 4}, "bold_count": {"**": 5}}
    write(
        folder / "model_answer/m.jsonl.gz",
        {
            "question_id": "q",
            "model_id": "m",
            "choices": [{"index": 0, "turns": [{"content": NASTY}]}],
            "conv_metadata": {"token_len": 7, **counts},
        },
    )
    path = arena_hard_files.answers_path(tmp_path, "v0.1", "m")
    assert arena_hard_files.read_questions(tmp_path, "v0.1") == [Question("q", ("ask",), "arena-hard-v0.1")]
    assert arena_hard_files.read_answers(path) == {"q": Answer("q", (NASTY,), (7,), (False,))}
    assert published.read_styles(path) == {"q": (7, 3, 4, 5)}


def test_a_file_is_found_in_each_layout(tmp_path: Path) -> None:
    row = {"uid": "q", "model": "m", "messages": [{"role": "assistant", "content": {"answer": "a"}}]}
    for place in (
        "model_answer_v2.0_m.jsonl",
        "model_answer_v2.0_m.jsonl.gz",
        "data/arena-hard-v2.0/model_answer/m.jsonl",
        "arena-hard-v2.0/model_answer/m.jsonl.gz",
        "model_answer/m.jsonl",
    ):
        folder = tmp_path / place.replace("/", "-")
        path = write(folder / place, row)
        assert arena_hard_files.answers_path(folder, "v2.0", "m") == path
        with pytest.raises(ValueError, match=r"no model_answer_v2\.0_mm\.jsonl\[\.gz\].*did you mean 'm'"):
            arena_hard_files.answers_path(folder, "v2.0", "mm")


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no question_v0\.1\.jsonl\[\.gz\]"):
        arena_hard_files.read_questions(tmp_path, "v0.1")
    with pytest.raises(ValueError, match=r"no model_answer_v0\.1_gpt-4-0314\.jsonl.*known: none"):
        arena_hard_files.answers_path(tmp_path, "v0.1", "gpt-4-0314")
    question = {"uid": "q", "category": "hard_prompt", "prompt": "ask"}
    write(tmp_path / "question_v2.0.jsonl", question, question)
    with pytest.raises(ValueError, match="question ids stand twice: q, of rows 1 and 2"):
        arena_hard_files.read_questions(tmp_path, "v2.0")
    path = write(tmp_path / "empty.jsonl", {"uid": "q", "messages": [{"content": {"answer": None}}]})
    with pytest.raises(ValueError, match="the answer to question q has no text"):
        arena_hard_files.read_answers(path)


def test_a_judgment_names_whom_the_answer_was_compared_with(tmp_path: Path) -> None:
    rows = [verdict("q", "ab", 1.0), verdict("q", "ba", 0.5)]
    for baseline, named in ((None, "o3-mini-2025-01-31"), ("ADPA", "ADPA")):
        path = arena_hard_files.write_judgments(tmp_path, "judge", "m", rows, baseline)
        assert [row["baseline"] for row in arena_hard_files.read_rows(path)] == [named]


def test_a_file_that_would_count_something_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="game 2 of question q stands twice"):
        arena_hard_files.write_judgments(
            tmp_path, "j", "m", [verdict("q", "ab", 1.0), verdict("q", "ab", 0.0)]
        )
    with pytest.raises(ValueError, match="two answers to question q"):
        arena_hard_files.write_answers(tmp_path, "m", [answer("q", "1"), answer("q", "2")])
    with pytest.raises(ValueError, match="'a/b' cannot name a file"):
        arena_hard_files.write_answers(tmp_path, "a/b", [])
