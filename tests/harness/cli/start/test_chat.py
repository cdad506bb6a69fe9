"""`bench chat`: a pipe's lines are turns, and each model has a conversation of its own."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.start.chat import template_of
from harness.store import maintenance
from harness.store.integrity import RECORD
from tests.bench_command import COMMAND, ENV, bench


def talked(runs: Path, said: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, "chat", "tiny", *words, "--runs", str(runs), "--max-tokens", "8"]
    return subprocess.run(command, input=said, env=ENV, capture_output=True, text=True, timeout=300)


def test_two_rows_answer_each_line_and_begin_anew(tiny_run: Path) -> None:
    asked = "is a cat an animal ?"
    done = talked(tiny_run, f"{asked}\n\n{asked}\n/new\n{asked}", "ADPA", "DPO")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == 3 * ["ADPA", "DPO"]
    assert lines[4:] == lines[:2]  # greedy, so the first turn again has the first answer again


def test_a_row_answers_by_the_chat_template_of_its_run(copied: Path) -> None:
    """One of the suite, which no tokenizer of its models has."""
    own = "{{ raise_exception('a template of the suite') }}"
    for path in copied.glob(f"store/*/*/{RECORD}"):
        record = json.loads(path.read_text())
        if "template" in record["settings"] and record["kind"] in ("pairs", "dialogues", "answers"):
            path.write_text(json.dumps(record | {"settings": record["settings"] | {"template": own}}))
    assert template_of(copied / "tiny", copied) == own
    done = talked(copied, "is a cat an animal ?", "DPO")
    assert done.returncode == 2 and "a template of the suite" in done.stderr + done.stdout


def test_a_row_that_is_not_there_is_one_line(tiny_run: Path) -> None:
    for words, told in ((("DOP",), "did you mean 'DPO'?"), (("DPO", "SFT", "ADPA"), "one or two methods")):
        done = bench("chat", "tiny", *words, "--runs", str(tiny_run))
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1


def test_a_run_by_its_folder_answers_as_by_its_name(tiny_run: Path) -> None:
    asked, words = "is a cat an animal ?", ("DPO", "--runs", str(tiny_run), "--max-tokens", "8")
    answers = [
        subprocess.run([*COMMAND, "chat", run, *words], input=asked, env=ENV, capture_output=True, text=True)
        for run in ("tiny", str(tiny_run / "tiny"))
    ]
    assert answers[1].stdout == answers[0].stdout != "", answers[1].stderr


def test_a_turn_that_is_no_text_is_one_line(tiny_run: Path) -> None:
    command = [*COMMAND, "chat", "tiny", "DPO", "--runs", str(tiny_run), "--max-tokens", "8"]
    said = b"is a cat an animal ?\n\xff\xfe\n"
    for errors in ("strict", "surrogateescape"):
        env = {**ENV, "PYTHONIOENCODING": f"utf-8:{errors}"}
        done = subprocess.run(command, input=said, env=env, capture_output=True, timeout=300)
        assert done.returncode == 2
        assert done.stderr == b"bench: standard input: a line is not UTF-8\n"


def test_a_turn_longer_than_the_positions_is_told_and_the_talk_goes_on(tiny_run: Path) -> None:
    asked = "is a cat an animal ?"
    done = talked(tiny_run, f"{20_000 * asked}\n/new\n{asked}", "DPO")
    long, short = done.stdout.splitlines()
    assert re.fullmatch(r"DPO: \[\d{6} tokens so far; the model was trained on 256; /new begins anew\]", long)
    assert short == talked(tiny_run, asked, "DPO").stdout.strip(), done.stderr


def test_steps_without_a_kind_and_a_temperature_without_end_are_one_line(copied: Path) -> None:
    steps = copied / "tiny" / "steps.jsonl"
    steps.write_text(steps.read_text().replace('"kind"', '"kidn"'))
    for words, told in (
        ((), "steps.jsonl:1"),
        (("--temperature", "1e400"), "--temperature: given inf"),
    ):
        done = bench("chat", "tiny", "DPO", *words, "--runs", str(copied))
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1


def test_of_a_row_with_several_seeds_the_least_one_answers(copied: Path) -> None:
    (one,) = (copied / "store" / "train").glob(f"dpo-{12 * '[0-9a-f]'}")
    other = shutil.copytree(one, one.with_name("dpo-ffffffffffff"))
    record = json.loads((other / RECORD).read_text())
    record["settings"]["seed"] += 1
    (other / RECORD).write_text(json.dumps(record))
    steps = copied / "tiny" / "steps.jsonl"
    row = next(json.loads(x) for x in steps.read_text().splitlines() if json.loads(x)["label"] == "DPO")
    steps.write_text(steps.read_text() + json.dumps(row | {"id": "ffffffffffff"}) + "\n")

    assert maintenance.model("tiny/DPO", copied, first_seed=True) == one
    with pytest.raises(ValueError, match="tiny/DPO: there are 2, name one: dpo-"):
        maintenance.model("tiny/DPO", copied)
