"""Benchmark data: downloads from a real server on this machine, folders of one's own, and the real files."""

import gzip
import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from benchmarks.declaration import DataFile, DataSet
from benchmarks.registry import DATA_SETS
from harness.common import data_folder
from harness.evaluate import benchmark_files

ONE, TWO = b'{"question": "caf\xc3\xa9"}\n' * 200_000, b"a,b\n1,2\n"
TOY = DataSet(
    "toy",
    licence="MIT (nobody/toy)",
    files=(
        DataFile("question.jsonl", "http://127.0.0.1:9/x/question.jsonl", hashlib.sha256(ONE).hexdigest()),
        DataFile(
            "deep/extra.csv", "http://127.0.0.1:9/x/e.csv", hashlib.sha256(TWO).hexdigest(), needed=False
        ),
    ),
)


class Mirror:
    """An HTTP server of a few files; `torn` are cut in the middle, `asked` are the paths in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.torn: set[str] = set()
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                body = mirror.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in mirror.torn else body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/copy/"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    served = Mirror()
    served.files = {"/copy/toy/question.jsonl": ONE, "/copy/toy/deep/extra.csv": TWO}
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for the data, with one more benchmark known, "toy"."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(DATA_SETS, "toy", TOY)
    return tmp_path / "home"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the toy's question file, gzipped, and something else."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "question.jsonl.gz").write_bytes(gzip.compress(ONE))
    (folder / "notes.txt").write_text("mine")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def row(name: str) -> benchmark_files.Row:
    return next(row for row in benchmark_files.listing() if row.name == name)


def test_what_is_fetched_is_the_bytes_of_upstream(mirror: Mirror, home: Path) -> None:
    folder = benchmark_files.fetch("toy", mirror=mirror.url)
    assert files(folder) == {"question.jsonl": ONE, "deep/extra.csv": TWO}
    assert benchmark_files.find(TOY) == folder == home / "toy"
    assert row("toy") == benchmark_files.Row(
        "toy",
        "fetched",
        home / "toy",
        {"question.jsonl": "as pinned", "deep/extra.csv": "as pinned"},
        "MIT (nobody/toy)",
    )


def test_without_a_mirror_the_public_home_is_asked(
    mirror: Mirror, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mirror.url + "toy/question.jsonl"
    upstream = DataSet("toy", "MIT", (DataFile("q.jsonl", url, hashlib.sha256(ONE).hexdigest()),))
    monkeypatch.setitem(DATA_SETS, "toy", upstream)
    assert files(benchmark_files.fetch("toy")) == {"q.jsonl": ONE}
    assert mirror.asked == ["/copy/toy/question.jsonl"]


def test_another_content_is_refused_in_one_line_and_nothing_is_left(mirror: Mirror, home: Path) -> None:
    mirror.files["/copy/toy/question.jsonl"] = ONE + b"\n"
    with pytest.raises(ValueError) as caught:
        benchmark_files.fetch("toy", mirror=mirror.url)
    got, pinned = hashlib.sha256(ONE + b"\n").hexdigest(), hashlib.sha256(ONE).hexdigest()
    url = f"{mirror.url}toy/question.jsonl"
    assert str(caught.value) == f"{url}: sha256 is {got}, pinned is {pinned}; nothing was kept"
    assert files(home) == {}


def test_a_torn_download_leaves_nothing_and_is_taken_up_by_file(mirror: Mirror, home: Path) -> None:
    mirror.torn = {"/copy/toy/deep/extra.csv"}
    with pytest.raises(OSError, match=r"extra\.csv: the download broke off .*4 of 8 bytes"):
        benchmark_files.fetch("toy", mirror=mirror.url)
    assert files(home) == {"toy/question.jsonl": ONE}

    mirror.torn = set()
    benchmark_files.fetch("toy", mirror=mirror.url)
    assert files(home) == {"toy/question.jsonl": ONE, "toy/deep/extra.csv": TWO}
    assert [path.rsplit("/", 1)[1] for path in mirror.asked] == ["question.jsonl", "extra.csv", "extra.csv"]


def test_a_file_that_was_changed_since_is_fetched_again(mirror: Mirror, home: Path) -> None:
    folder = benchmark_files.fetch("toy", mirror=mirror.url)
    (folder / "question.jsonl").write_bytes(ONE[:-1])
    assert row("toy").in_state("other content") == ("question.jsonl",)
    benchmark_files.fetch("toy", mirror=mirror.url)
    assert (folder / "question.jsonl").read_bytes() == ONE
    assert len(mirror.asked) == 3


def test_what_the_server_does_not_have_is_one_line(mirror: Mirror, home: Path) -> None:
    del mirror.files["/copy/toy/question.jsonl"]
    with pytest.raises(OSError, match=rf"^{mirror.url}toy/question\.jsonl: HTTP 404 Not Found$"):
        benchmark_files.fetch("toy", mirror=mirror.url)
    assert files(home) == {}


def test_without_a_network_one_line_says_what_else_there_is(home: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # nobody listens there
        mirror = f"http://127.0.0.1:{s.getsockname()[1]}"
        with pytest.raises(OSError, match=r"cannot be reached \(.*refused.*\).*`bench data add`$"):
            benchmark_files.fetch("toy", mirror=mirror)
    assert files(home) == {}


def test_a_killed_download_leaves_no_file_that_counts(mirror: Mirror, home: Path) -> None:
    """The kill comes when half of the first file is written, before its checksum is known."""
    program = """
import os, signal, sys
from harness.common import data_folder
from harness.evaluate import benchmark_files
def kill(url, partial):
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
benchmark_files._stream = kill
benchmark_files.fetch("gsm8k", mirror=sys.argv[1])
"""
    done = subprocess.run([sys.executable, "-c", program, mirror.url], check=False)
    assert done.returncode == -9 and list(files(home).values()) == [b"half"]
    assert row("gsm8k").states == {"gsm8k_test.jsonl": "missing"}
    with pytest.raises(ValueError, match=r"gsm8k lacks gsm8k_test\.jsonl"):
        benchmark_files.find(DATA_SETS["gsm8k"])


def test_what_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ValueError) as caught:
        benchmark_files.find(DATA_SETS["mt-bench"])
    told = "`bench data fetch mt-bench` or `bench data add mt-bench PATH`"
    assert str(caught.value) == f"no data of mt-bench in {benchmark_files.home()}: {told}"
    assert row("mt-bench").kind == "not here"


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"^no benchmark data 'mtbench'; did you mean 'mt-bench'\?$"):
        benchmark_files.fetch("mtbench")


def test_a_folder_of_ones_own_is_linked_and_its_zipped_files_count(own: Path, home: Path) -> None:
    assert benchmark_files.add("toy", own) == (own, (), ("deep/extra.csv",))
    assert benchmark_files.find(TOY) == own
    assert (home / "toy").is_symlink() and [p.name for p in home.iterdir()] == ["toy"]
    assert row("toy").states == {"question.jsonl": "as pinned", "deep/extra.csv": "missing"}


def test_ones_own_content_is_taken_and_told(own: Path) -> None:
    (own / "question.jsonl").write_text("{}\n")
    assert benchmark_files.add("toy", own).other == ("question.jsonl",)
    assert row("toy").kind == "added" and row("toy").in_state("other content") == ("question.jsonl",)


def test_a_folder_without_what_is_needed_is_refused(own: Path, home: Path) -> None:
    (own / "question.jsonl.gz").rename(own / "questions.jsonl.gz")
    with pytest.raises(ValueError, match=r"own is no data of toy: it lacks question\.jsonl \(or the same"):
        benchmark_files.add("toy", own)
    with pytest.raises(ValueError, match="no folder"):
        benchmark_files.add("toy", own / "none")
    whole = gzip.compress(ONE * 9)
    for broken in (whole[:-9], whole[:10] + bytes([whole[10] ^ 0xFF]) + whole[11:]):
        (own / "question.jsonl.gz").write_bytes(broken)
        with pytest.raises(ValueError, match=r"question\.jsonl\.gz: cannot be unpacked"):
            benchmark_files.add("toy", own)
    assert not home.exists()


def test_fetched_and_added_data_do_not_overwrite_each_other(mirror: Mirror, own: Path, home: Path) -> None:
    benchmark_files.add("toy", own)
    with pytest.raises(ValueError, match=r"toy is the folder .*own that was added"):
        benchmark_files.fetch("toy", mirror=mirror.url)
    assert not mirror.asked and sorted(files(own)) == ["notes.txt", "question.jsonl.gz"]
    (home / "toy").unlink()
    benchmark_files.fetch("toy", mirror=mirror.url)
    with pytest.raises(ValueError, match="was fetched to"):
        benchmark_files.add("toy", own)


def test_another_folder_takes_the_place_of_one_that_is_gone(own: Path, tmp_path: Path) -> None:
    benchmark_files.add("toy", own)
    moved = own.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"the folder added for toy is gone: .*own; `bench data fetch toy`"):
        benchmark_files.find(TOY)
    benchmark_files.add("toy", moved)
    assert benchmark_files.find(TOY) == moved


def test_the_home_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert benchmark_files.home() == tmp_path / "bench" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert benchmark_files.home() == Path("/home/somebody/.cache/bench/data")


def test_a_fingerprint_depends_on_the_contents_of_what_is_read(own: Path, tmp_path: Path) -> None:
    whole = data_folder.fingerprint(own)
    (own / "notes.txt").write_text("other")
    assert data_folder.fingerprint(own) != whole
    (own / "notes.txt").unlink()
    zipped = data_folder.fingerprint(own)

    unzipped = tmp_path / "unzipped"
    unzipped.mkdir()
    (unzipped / "question.jsonl").write_bytes(ONE)
    (unzipped / ".DS_Store").write_text("")
    assert data_folder.fingerprint(unzipped) == zipped
    (unzipped / "question.jsonl").write_bytes(ONE + b"\n")
    assert data_folder.fingerprint(unzipped) != zipped


REAL = {  # benchmark -> folder of the shared data, and what is not there as upstream has it
    "mt-bench": ("mt_bench", ()),
    "alpaca-eval": ("alpaca_eval", ("df_gamed.csv", "instruction_difficulty.csv", "alpaca_eval.json")),
    "arena-hard": ("arena_hard", ("model_answer_v2.0_gemini-2.0-flash-001.jsonl",)),
    "gsm8k": ("openllm", ()),
    "llmbar": ("preference/llmbar", ()),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_are_as_pinned(name: str, shared_data: Path) -> None:
    folder, missing = REAL[name]
    assert benchmark_files.add(name, shared_data / folder) == (shared_data / folder, (), missing)
    assert benchmark_files.find(DATA_SETS[name]) == shared_data / folder


def test_the_real_files_are_fetched_where_the_loader_reads_them(mirror: Mirror, shared_data: Path) -> None:
    from benchmarks.mt_bench import benchmark as mt_bench

    real = shared_data / "mt_bench"
    mirror.files = {f"/copy/mt-bench/{p.name}": p.read_bytes() for p in real.glob("*.jsonl")}
    folder = benchmark_files.fetch("mt-bench", mirror=mirror.url)
    assert files(folder).items() <= files(real).items()
    for reference in ("gpt-4", "gpt-4-1106-preview_simpo"):
        fetched, _ = mt_bench.load(folder, reference=reference)
        assert fetched == mt_bench.load(real, reference=reference)[0] and len(fetched) == 80


def test_every_file_is_pinned_to_a_full_commit() -> None:
    for source in DATA_SETS.values():
        for file in source.files:
            assert source is TOY or re.search(r"/[0-9a-f]{40}/", file.url)
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    names = [(name, file.name) for name, source in DATA_SETS.items() for file in source.files]
    assert len(set(names)) == len(names)
