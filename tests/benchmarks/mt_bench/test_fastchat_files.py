"""MT-Bench's files: FastChat's tools read what we write, and we read what FastChat wrote."""

import argparse
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api import Answer, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.json_files import json_lines
from benchmarks.mt_bench import benchmark as mt_bench
from benchmarks.mt_bench import fastchat_files
from benchmarks.mt_bench.fastchat_files import Judgment
from tests.benchmarks.mt_bench.test_mt_bench import fastchat  # noqa: F401  a fixture

GPT_4, MIXTRAL = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
REAL = "mt_bench/judgments/routellm_gpt4turbo_mixtral_gpt-4_single.jsonl.gz"
NASTY = '[[10]] \u2028 \x85 {answer} \U0001f600 "quoted" \\n\r\n<|im_end|>'
ANSWERS = [
    Answer("100", ("one", NASTY), (3, 9), (False, True)),
    Answer("81", ("", "two"), (0, 1), (False,) * 2),
]


def real_judgments(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / REAL, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_judgment(row: dict[str, Any]) -> Judgment:
    judge, prompt = row["judge"]
    value = mt_bench.parse(JudgeRequest("", ()), Reply(row["judgment"]))
    question, turn, model = str(row["question_id"]), row["turn"], row["model"]
    return Judgment(question, turn, model, judge, prompt, row["user_prompt"], row["judgment"], value)


def shown(fastchat: Any, file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:  # noqa: F811
    """Model -> first turn, second turn, average, as FastChat's show_result prints them."""
    args = argparse.Namespace(bench_name="mt_bench", input_file=str(file), judge_model="j", model_list=None)
    capsys.readouterr()
    fastchat.show_result.display_result_single(args)
    printed: dict[str, list[float]] = {}
    for line in capsys.readouterr().out.splitlines():
        if found := re.fullmatch(r"(\S+)(?: +[12])? +(\d+\.\d+)", line):
            printed.setdefault(found[1], []).append(float(found[2]))
    return printed


def read_judgments(path: Path, questions: Sequence[Question] = ()) -> dict[str, list[Score]]:
    """Model -> its scores; FastChat's -1, and a rating outside 1-10, is Unparsed."""
    categories = {q.id: q.category for q in questions}
    scores: dict[str, list[Score]] = {}
    for row in json_lines(path):
        question, rating = str(row["question_id"]), float(row["score"])
        value = rating if 1 <= rating <= 10 else Unparsed(row["judgment"])
        score = Score(question, value, categories.get(question, ""), int(row["turn"]))
        scores.setdefault(row["model"], []).append(score)
    return scores


def judged(model: str, question: str, turn: int, value: float | Unparsed) -> Judgment:
    return Judgment(question, turn, model, "gpt-4", "single-v1", "prompt", f"Rating: {value}", value)


def test_real_judgments_read_back_give_fastchats_published_averages(shared_data: Path) -> None:
    questions, _ = mt_bench.load(shared_data / "mt_bench")
    scores = read_judgments(shared_data / REAL, questions)
    found = {model: mt_bench.aggregate(of_model) for model, of_model in scores.items()}
    assert {m: (f["score"], f["first_turn"], f["second_turn"], f["n"]) for m, f in found.items()} == {
        GPT_4: (9.228125, 9.40625, 9.05, 160),
        MIXTRAL: (8.340625, 8.69375, 7.9875, 160),
    }
    assert sum(name.startswith("score/") for name in found[GPT_4]) == 8


def test_fastchat_shows_our_averages_of_our_export_of_the_real_judgments(
    shared_data: Path,
    tmp_path: Path,
    fastchat: Any,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = [as_judgment(row) for row in real_judgments(shared_data)]
    file = fastchat_files.write_judgments(tmp_path, "gpt-4", ours)
    assert file == tmp_path / "model_judgment/gpt-4_single.jsonl"
    assert shown(fastchat, file, capsys) == {
        GPT_4: [9.40625, 9.05, 9.228125],
        MIXTRAL: [8.69375, 7.9875, 8.340625],
    }


def test_our_export_holds_what_fastchat_wrote_but_the_time(shared_data: Path, tmp_path: Path) -> None:
    rows = real_judgments(shared_data)
    file = fastchat_files.write_judgments(tmp_path, "gpt-4", map(as_judgment, rows))
    written = [json.loads(line) for line in file.read_text().splitlines()]
    by_key = {(row["model"], row["question_id"], row["turn"]): row | {"tstamp": 0} for row in rows}
    assert [(row["model"], row["question_id"], row["turn"]) for row in written] == sorted(by_key)
    assert written == [by_key[key] for key in sorted(by_key)]
    assert list(written[0]) == list(rows[0])


def test_what_is_unparsed_is_dropped_by_fastchat_as_by_us(
    tmp_path: Path,
    fastchat: Any,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also a rating outside 1-10, which FastChat's own parser would average in."""
    judgments = [judged("m", "81", 1, 7.0), judged("m", "81", 2, Unparsed("no rating"))]
    judgments += [
        judged("m", "82", 1, Unparsed("[[85]]")),
        judged("m", "82", 2, 4.5),
        judged("m", "9", 1, 2.0),
    ]
    file = fastchat_files.write_judgments(tmp_path, "gpt-4", judgments)
    scores = read_judgments(file)["m"]
    found = mt_bench.aggregate(scores)
    assert (found["n"], found["n_unparsed"]) == (3, 2)
    assert shown(fastchat, file, capsys) == {"m": [found["first_turn"], found["second_turn"], found["score"]]}
    assert [(s.question, s.turn) for s in scores] == [("9", 1), ("81", 1), ("81", 2), ("82", 1), ("82", 2)]
    assert scores[2].value == Unparsed("Rating: Unparsed(reply='no rating')")


def test_a_judgment_names_the_prompt_that_fastchat_would(shared_data: Path) -> None:
    """All 320 real judgments: question, turn and reference decide the prompt."""
    questions, benchmark = mt_bench.load(shared_data / "mt_bench")
    prompts = {}
    for question in questions:
        for request in benchmark.requests(
            question, Answer(question.id, ("a", "b"), (1, 1), (False,) * 2), None
        ):
            assert isinstance(request, JudgeRequest)
            one = fastchat_files.judgment("m", "gpt-4", question, request, "[[7]]", 7.0)
            assert one.user_prompt == request.messages[-1]["content"]
            prompts[one.question, one.turn] = one.prompt
    for row in real_judgments(shared_data):
        assert prompts[str(row["question_id"]), row["turn"]] == row["judge"][1]


def test_fastchat_reads_our_answers_and_so_do_we(tmp_path: Path, fastchat: Any) -> None:  # noqa: F811
    file = fastchat_files.write_answers(tmp_path, "m", ANSWERS)
    assert file == tmp_path / "model_answer/m.jsonl"
    theirs = fastchat.common.load_model_answers(str(file.parent))["m"]
    assert {i: row["choices"][0]["turns"] for i, row in theirs.items()} == {
        81: ["", "two"],
        100: ["one", NASTY],
    }
    assert [row["model_id"] for row in theirs.values()] == ["m", "m"]
    unknown = {"tokens": (0, 0), "truncated": (False, False)}
    assert fastchat_files.read_answers(tmp_path, "m") == {a.question: replace(a, **unknown) for a in ANSWERS}


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    judgments = [judged(m, q, t, 5.0) for m in ("b", "a") for q in ("100", "81", "x") for t in (2, 1)]
    files = [
        (
            fastchat_files.write_answers(tmp_path / n, "m", a),
            fastchat_files.write_judgments(tmp_path / n, "gpt-4", j),
        )
        for n, a, j in (("1", ANSWERS, judgments), ("2", ANSWERS[::-1], judgments[::-1]))
    ]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
    rows = [json.loads(line) for line in files[0][0].read_text().splitlines()]
    assert [r["question_id"] for r in rows] == [81, 100]
    assert len({r["answer_id"] for r in rows}) == 2 and {len(r["answer_id"]) for r in rows} == {22}


def test_an_unknown_model_is_named_with_the_nearest(tmp_path: Path) -> None:
    fastchat_files.write_answers(tmp_path, "llama-3", ANSWERS)
    with pytest.raises(
        ValueError, match=r"no answers of 'lama-3' in .*did you mean 'llama-3'\? known: llama-3"
    ):
        fastchat_files.read_answers(tmp_path, "lama-3")
    with pytest.raises(ValueError, match="known: none"):
        fastchat_files.read_answers(tmp_path / "nowhere", "m")


def test_answers_of_another_format_are_refused(shared_data: Path) -> None:
    """These hold a "completion" of the first turn alone."""
    with pytest.raises(ValueError, match=r"line 1: not FastChat's format, without choices"):
        fastchat_files.read_answers(shared_data / "mt_bench", "jeqcho_mt_bench_llama3_instruct")


def test_what_would_be_weighed_twice_or_mixed_is_refused(tmp_path: Path) -> None:
    one = judged("m", "81", 1, 5.0)
    with pytest.raises(ValueError, match="two rows for m 81 1"):
        fastchat_files.write_judgments(tmp_path, "gpt-4", [one, one])
    with pytest.raises(ValueError, match="two rows for 81"):
        fastchat_files.write_answers(tmp_path, "m", [ANSWERS[1], ANSWERS[1]])
    with pytest.raises(ValueError, match="a judgment by 'gpt-4' among those of 'gpt-5'"):
        fastchat_files.write_judgments(tmp_path, "gpt-5", [one])
    with pytest.raises(ValueError, match="'a/b' cannot name a file"):
        fastchat_files.write_answers(tmp_path, "a/b", ANSWERS)
