"""Kept replies: what is on the disk counts, a torn line does not, and two processes lose nothing."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.endpoints.replies import EndpointReply, ReplyCache
from tests.paths import ROOT

ODD = [
    "",
    " \n\r\n\t",
    "\u2028\u2029\x85\x0b\x1c",
    "\x00\x7f",
    "\ud83d",
    "\ude00\ud83d",
    '"\\',
    "日本語 \U0001f600",
    "\ufeff",
]


def test_a_reply_reads_back_as_it_was_written(tmp_path):
    whole = EndpointReply("a", "[[7]]", {"m": -0.25, "": -math.inf}, "length", 3, 4, "gpt", "fp", 0.5, 2)
    with ReplyCache(tmp_path / "new" / "folder") as replies:
        replies.add(whole)
        assert replies["a"] == whole

    assert ReplyCache(tmp_path / "new" / "folder")["a"] == whole


@pytest.mark.parametrize("text", ODD)
def test_any_text_survives_and_stays_on_its_line(tmp_path, text):
    with ReplyCache(tmp_path) as replies:
        replies.add(EndpointReply("odd", text, {text: -1.0}), EndpointReply("next", "x"))
    again = ReplyCache(tmp_path)

    assert (again["odd"].text, again["odd"].logprobs, again["next"].text) == (text, {text: -1.0}, "x")
    assert again.torn == 0


def test_no_folder_and_no_reply_leave_no_file(tmp_path):
    with ReplyCache(tmp_path / "absent") as replies:
        assert "a" not in replies
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("cut", [1, 2, 20, 60])
def test_a_line_cut_short_is_left_out_and_counted_and_the_rest_is_read(tmp_path, cut):
    with ReplyCache(tmp_path) as replies:
        replies.add(*(EndpointReply(k, "text of " + k) for k in "abc"))
    [file] = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-cut])

    with ReplyCache(tmp_path) as again:
        assert ("a" in again, "b" in again, "c" in again, again.torn) == (True, True, False, 1)
        again.add(EndpointReply("c", "new"))
    assert ReplyCache(tmp_path)["c"].text == "new" and ReplyCache(tmp_path).torn == 1


def test_a_cut_before_the_end_of_the_line_is_torn_even_if_it_is_json(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps(asdict(EndpointReply("a", "whole"))))

    assert "a" not in ReplyCache(tmp_path) and ReplyCache(tmp_path).torn == 1


@pytest.mark.parametrize(
    "line", [b"[]\n", b"{}\n", b'{"key": "a", "txt": ""}\n', b"\n", b"\xff\xfe\n", b"null\n"]
)
def test_a_line_that_is_no_reply_is_counted(tmp_path, line):
    good = json.dumps(asdict(EndpointReply("a", "x"))).encode() + b"\n"
    (tmp_path / "x.jsonl").write_bytes(line + good)

    assert ReplyCache(tmp_path)["a"].text == "x" and ReplyCache(tmp_path).torn == 1


def test_of_a_key_that_stands_twice_the_first_is_kept(tmp_path):
    with ReplyCache(tmp_path) as replies:
        replies.add(EndpointReply("a", "first"))
        replies.add(EndpointReply("a", "second"))
        assert replies["a"].text == "first"

    assert ReplyCache(tmp_path)["a"].text == "first"


def test_a_reply_that_was_altered_on_the_disk_is_none(tmp_path):
    """Whichever bit: a judge's "[[A]]" is never read as another verdict."""
    whole = EndpointReply("a", "[[A]]\n日本", {"A": -0.25, "B": -math.inf}, model="gpt")
    with ReplyCache(tmp_path / "whole") as replies:
        replies.add(whole)
    [file] = (tmp_path / "whole").glob("*.jsonl")
    line = file.read_bytes()
    (tmp_path / "other").mkdir()
    for place in range(len(line)):
        for bit in (1, 16):
            altered = line[:place] + bytes([line[place] ^ bit]) + line[place + 1 :]
            (tmp_path / "other" / "x.jsonl").write_bytes(altered)
            again = ReplyCache(tmp_path / "other")
            assert "a" not in again and again.torn, altered
    with ReplyCache(tmp_path / "other") as again:
        again.add(whole)
    assert ReplyCache(tmp_path / "other")["a"] == whole


WRITER = """
import sys
from pathlib import Path
from harness.endpoints.replies import EndpointReply, ReplyCache
with ReplyCache(Path(sys.argv[1])) as replies:
    for n in range(int(sys.argv[3])):
        replies.add(EndpointReply(f"{sys.argv[2]}{n}", sys.argv[2] * 3000))
        print(n, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    both = [writer(tmp_path, name, 150) for name in "xy"]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    replies = ReplyCache(tmp_path)

    assert replies.torn == 0 and len(list(tmp_path.glob("*.jsonl"))) == 2
    assert all(replies[f"{name}{n}"].text == name * 3000 for name in "xy" for n in range(150))


def test_what_add_returned_for_is_there_after_a_kill(tmp_path):
    process = writer(tmp_path, "x", 1_000_000)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split("\n")[:-1]  # what it still said before the kill
    last = int(rest[-1]) if rest else told[-1]
    replies = ReplyCache(tmp_path)

    assert all(f"x{n}" in replies for n in range(last + 1)) and replies.torn <= 1
