"""A key is sent to its server, and is in nothing that a command prints, keeps or writes."""

import json
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.cli import app
from harness.cli.options import echo_json
from harness.common.text import printed
from harness.run import earlier_rows
from tests.bench_command import bench
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV, LOGIN, Running

SUITE = """
name: e
models: {{echo: {{url: "{url}", model: echo, api_key_env: {env}}}}}
benchmarks: {{gsm8k-cot: {{data: "{data}", max_tokens: 4}}}}
"""
SECRET = "sk-proj-Ab3dE5gH1jKl"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("server") / "log.jsonl")


def run(folder: Path, *words: str, url: str, env: str = KEY_ENV) -> Any:
    data = folder / "gsm8k-cot"
    data.mkdir(exist_ok=True)
    (data / "gsm8k_test.jsonl").write_text(json.dumps({"question": "a b", "answer": "c\n#### 1"}) + "\n")
    (folder / "e.yaml").write_text(SUITE.format(url=url, env=env, data=data))
    return bench("run", str(folder / "e.yaml"), "--runs", str(folder / "runs"), *words, **{KEY_ENV: KEY})


def test_a_key_that_the_server_echoes_is_nowhere(tmp_path: Path, server: Running) -> None:
    done = run(tmp_path, url=server.url)
    assert done.returncode == 0, done.stderr
    shown = bench(
        *("show", "e", "--runs", str(tmp_path / "runs"), "--methods", "echo"),
        *("--benchmark", "gsm8k-cot", "--question", "1"),
    )
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(files) > 10 and any("<the key>" in path.read_text(errors="replace") for path in files)
    for told in (done.stdout, done.stderr, shown.stdout, shown.stderr):
        assert KEY not in told
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_the_password_of_a_url_is_sent_and_kept_nowhere(tmp_path: Path, server: Running) -> None:
    url = server.url.replace("//", f"//me:{KEY}@")
    done = run(tmp_path, f"--set=models.echo.url={url}", "--name=e", url=server.url)
    assert done.returncode == 0, done.stderr
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert any("You sent Basic <the key>" in path.read_text(errors="replace") for path in files)
    assert server.url in (tmp_path / "runs" / "e" / "settings.json").read_text()
    for secret in (KEY, LOGIN):
        assert secret not in done.stdout + done.stderr
        assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("given", [SECRET, "sk-ant-api03-x", "AIzaSyA1b2C3d4E5f6G7h8I9j0", "A" * 24, "a b"])
def test_a_key_in_the_place_of_its_name_is_refused_and_not_repeated(tmp_path: Path, given: str) -> None:
    done = run(tmp_path, url="http://127.0.0.1:9/v1", env=given)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "api_key_env: given something else, which is not shown" in done.stderr
    assert given not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:9/v1",
        f"http://127.0.0.1:9/v1?key={SECRET}",
        f"http://user:{SECRET}@127.0.0.1:9/v1?api_key={SECRET}",
        f"http://user:{SECRET}@[bad/v1",
    ],
)
def test_credentials_of_a_url_are_not_printed(tmp_path: Path, url: str) -> None:
    done = run(tmp_path, url=url)
    assert done.returncode == 2 and SECRET not in done.stdout + done.stderr
    typed = bench("eval", url, "--bench", "gsm8k-cot", "--runs", str(tmp_path))
    assert typed.returncode == 2 and SECRET not in typed.stdout + typed.stderr


def test_of_a_text_only_credentials_are_taken_out() -> None:
    text = "see https://a:b@host:1/v1?model=x&api_key=c&top=1#d and mail me@here, x=key=1, path//to@home"
    assert printed(text) == (
        "see https://host:1/v1?model=x&api_key=...&top=1#d and mail me@here, x=key=1, path//home"
    )


def test_json_stays_json_where_a_url_with_a_key_stands_in_quotes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f'models.x={{"url": "http://me:{SECRET}@h/v1?api_key={SECRET}"}}'
    clean = 'models.x={"url": "http://h/v1?api_key=..."}'
    models = {f"http://h/?key={SECRET}": {"urls": [given, 1, None]}}
    earlier_rows.Settings("tiny", [given], methods=[], models=models, rows=3).write(tmp_path)
    found = earlier_rows.Settings(
        "tiny", [clean], methods=[], models={"http://h/?key=...": {"urls": [clean, 1, None]}}, rows=3
    )
    assert earlier_rows.read(tmp_path) == found
    echo_json([{"set": (given,)}])
    assert json.loads(capsys.readouterr().out) == [{"set": [clean]}]


def test_memory_that_torch_did_not_get_is_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "app", lambda **_: torch.empty(2**60))
    monkeypatch.setattr(app.shutdown, "listen", lambda: None)
    monkeypatch.setattr(app.surroundings, "close_output", lambda: None)
    monkeypatch.setattr(app.extension_file, "try_imports_apart", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench", "runs"])
    with pytest.raises(SystemExit, match="1"):
        app.main()
    assert capsys.readouterr().err.startswith("bench: this machine has no memory left")


def test_a_fault_of_ours_is_a_line_and_a_private_file_without_credentials_or_what_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> None:
        raise KeyError(f"http://me:{SECRET}@host/v1?api_key={SECRET}") from RuntimeError("\x1b[2J")

    monkeypatch.setattr(app, "app", fails)
    monkeypatch.setattr(app.shutdown, "listen", lambda: None)
    monkeypatch.setattr(app.surroundings, "close_output", lambda: None)
    monkeypatch.setattr(app.extension_file, "try_imports_apart", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench", "runs"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit, match="1"):
        app.main()
    (told,) = tmp_path.iterdir()
    fault, line = "KeyError: 'http://host/v1?api_key=...'", fails.__code__.co_firstlineno + 1
    assert capsys.readouterr().err == (
        f"bench: a fault of bench itself, {fault} (test_keys.py:{line}); please report it with {told}\n"
    )
    text = told.read_text()
    assert all(words in text for words in ("Traceback", fault, "\\x1b[2J"))
    assert stat.S_IMODE(told.stat().st_mode) == 0o600
    assert SECRET not in text and "\x1b" not in text
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="1"):
        app.main()
    assert capsys.readouterr().err == f"bench: a fault of bench itself, {fault} (test_keys.py:{line})\n"
