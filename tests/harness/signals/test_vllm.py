"""Answers of a server of vLLM: the same tokens as our own; a process that speaks its protocol stands in."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers import AutoModelForCausalLM

from benchmarks.api import Sampling
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.endpoints import prices
from harness.endpoints.session import open_session
from harness.evaluate.answers import BY_MODEL, run_model
from harness.models.decoding.decoder import Decoder
from harness.signals import rollouts
from harness.signals.rollouts import RolloutInputs, RolloutSettings
from harness.store.array_file import ArrayFile
from harness.store.step import Work
from tests.bench_command import bench
from tests.benchmarks.mt_bench import judge_prompts
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.harness.signals.vllm_stand_in import ASKED, VERSION
from tests.paths import ROOT, TINY

SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.harness.signals.vllm_stand_in import main
main(__file__, sys.argv[1:])
"""
PROMPTS = [[1, 7, 8, 3, 2], [1, 9, 3, 2], [1, 10, 11, 12, 13, 14, 3, 2], [1, 5, 3, 2], [1, 20, 3, 2]]
GREEDY, SAMPLED = Sampling(0.0, 1.0, 12), Sampling(0.8, 0.9, 12)
OWN, VLLM = Decoder(), Decoder("vllm")


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a `vllm`; "asked.jsonl" in it are the requests that it was sent."""
    script = tmp_path / "bin" / "vllm"
    script.parent.mkdir()
    script.write_text(SCRIPT.format(python=sys.executable, root=str(ROOT)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    return script.parent


@pytest.fixture
def session(tmp_path: Path) -> Iterator[None]:
    """What a run keeps open: the servers that its steps start."""
    with open_session(prices.load(), None, None, tmp_path / "logs", tmp_path / "replies"):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head has five columns that are no tokens, which it would say before any token."""
    folder = tiny_folder(tmp_path_factory.mktemp("model") / "m")
    padded = AutoModelForCausalLM.from_pretrained(folder)
    padded.resize_token_embeddings(VOCAB + 5)
    weight = padded.get_input_embeddings().weight.data
    weight[VOCAB:] = 1.2 * weight[6:11]
    padded.save_pretrained(folder)
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    rows = [token_sequences.response(10 + i, prompt, [6, 3]) for i, prompt in enumerate(PROMPTS)]
    token_sequences.write(folder, rows, VOCAB)
    return folder


def asked(folder: Path) -> list[dict[str, Any]]:
    log = folder / ASKED
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [row for row in rows if isinstance(row, dict)]


def written(
    model: Path,
    prompts: Path,
    decoder: Decoder,
    sampling: Sampling = GREEDY,
    *,
    samples: int = 1,
    batch: int = 3,
    kept: Path | None = None,
) -> tuple[list[list[int]], list[bool], dict[str, Any]]:
    """The responses of a step of rollouts, which of all were cut, and what its record tells."""
    settings = RolloutSettings(
        sampling, samples, drop_truncated=False, template=None, seed=4, decoder=decoder
    )
    out = prompts.parent / "out"
    out.mkdir(exist_ok=True)
    for file in out.iterdir():
        file.unlink()
    context = {"device": "cpu", "batch": batch}
    told = rollouts.run(Work(settings, RolloutInputs(model, prompts), out, context, kept))
    found = Sequences(out)
    ids = [found.response(i) for i in range(len(found))]
    return ids, ArrayFile(out, "truncated").all().tolist(), told


def test_its_greedy_answers_are_our_own_token_by_token(
    vllm: Path, session: None, model: Path, prompts: Path
) -> None:
    """Of a head with columns that are no tokens, and answers of which some end and some are cut."""
    own, cut, told = written(model, prompts, OWN)
    theirs, their_cut, their_told = written(model, prompts, VLLM)

    assert theirs == own and their_cut == cut and {True, False} == set(cut)
    assert their_told == {**told, "vllm": VERSION}
    assert sorted(r["prompt"] for r in asked(vllm)) == sorted(PROMPTS)


def test_a_sampled_answer_has_a_seed_of_its_own_and_does_not_depend_on_its_neighbours(
    vllm: Path, session: None, model: Path, prompts: Path
) -> None:
    together, *_ = written(model, prompts, VLLM, SAMPLED, samples=2, batch=10)
    sent = asked(vllm)
    alone, *_ = written(model, prompts, VLLM, SAMPLED, samples=2, batch=1)

    assert alone == together and together[0] != together[1]
    assert len({r["seed"] for r in sent}) == len(sent) == 2 * len(PROMPTS)
    assert {(r["temperature"], r["top_p"], r["max_tokens"]) for r in sent} == {(0.8, 0.9, 12)}
    assert all(r["stop_token_ids"] == [3] and set(r["logit_bias"].values()) == {-100.0} for r in sent)


def test_a_server_that_dies_is_one_line_and_what_it_answered_is_not_asked_again(
    vllm: Path,
    session: None,
    model: Path,
    prompts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, line = tmp_path / "kept", r"^vllm serve .*/m: died, status 7; the end of .*: EngineDeadError: CUDA"
    monkeypatch.setenv("FAULT", "dies 2")
    with pytest.raises(OSError, match=line):
        written(model, prompts, VLLM, kept=kept)
    monkeypatch.delenv("FAULT")
    first = asked(vllm)
    resumed, *_ = written(model, prompts, VLLM, kept=kept)
    second = asked(vllm)[len(first) :]

    assert len(first) == 2 and len(second) == len(PROMPTS) - 2
    assert resumed == written(model, prompts, OWN)[0]


def test_a_request_whose_connection_breaks_is_sent_again(
    vllm: Path, session: None, model: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.endpoints.servers.SECONDS_TO_END", 0.2)
    monkeypatch.setenv("FAULT", "breaks")
    theirs, *_ = written(model, prompts, VLLM, batch=1)
    assert theirs == written(model, prompts, OWN)[0] and len(asked(vllm)) == 2 * len(PROMPTS)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("no-ids", "no token ids in its reply: a version from 0.10.2 on gives them"),
        ("padding", f"request 10/0: id {VOCAB + 4} is none of the {VOCAB} that are tokens"),
        ("other-prompt", "request 10/0: it read another prompt than it was given"),
        ("aborts", "request 10/0: 0 tokens, finish reason 'abort'"),
    ],
)
def test_a_reply_that_is_no_answer_to_the_request_is_one_line(
    vllm: Path,
    session: None,
    model: Path,
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    line: str,
) -> None:
    monkeypatch.setenv("FAULT", fault)
    with pytest.raises(ValueError, match=rf"^vllm serve .*/m: {line}$"):
        written(model, prompts, VLLM, batch=1)


def test_an_answer_ends_where_the_server_reads_no_further_and_counts_as_cut(
    vllm: Path, session: None, model: Path, prompts: Path
) -> None:
    short = Decoder("vllm", arguments=("--max-model-len", "10"))
    ids, cut, told = written(model, prompts, short)
    whole, *_ = written(model, prompts, OWN)
    room = [10 - len(prompt) for prompt in PROMPTS]

    assert ids == [answer[:most] for answer, most in zip(whole, room, strict=True)]
    assert told["truncated"] == sum(cut) == sum(3 not in answer for answer in ids) > 0
    none = Decoder("vllm", arguments=("--max-model-len", "8"))
    with pytest.raises(ValueError, match=r"^request 12/0: 8 tokens, of a model that reads 8$"):
        written(model, prompts, none)


def test_it_is_started_as_the_suite_says_and_stopped_with_its_step(
    vllm: Path, session: None, model: Path, prompts: Path
) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    written(model, prompts, Decoder("vllm", "bfloat16", ("--tensor-parallel-size", "2")))
    (command,) = (json.loads(line) for line in (vllm / ASKED).read_text().splitlines() if line[0] == "[")
    assert command[:2] == ["serve", str(model)] and "--dtype bfloat16" in " ".join(command)
    assert command[-2:] == ["--tensor-parallel-size", "2"]
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_a_temperature_that_vllm_would_raise_is_refused(
    vllm: Path, session: None, model: Path, prompts: Path
) -> None:
    line = r"^request 10/0: temperature 0\.001; vllm takes 0, or 0\.01 and more$"
    with pytest.raises(ValueError, match=line):
        written(model, prompts, VLLM, Sampling(0.001, 1.0, 4))
    assert not asked(vllm)


def test_a_run_has_the_answers_of_one_without_a_server_and_trains_nothing_again(
    vllm: Path, copied: Path
) -> None:
    one = ("--only", "DPO", "--set", "benchmarks={rule: {data: world/test, max_tokens: 8}}")
    done = bench(
        *("run", TINY, "--runs", str(copied), "--set", "generation.engine=vllm", *one),
        PATH=os.environ["PATH"],
    )
    assert done.returncode == 0, done.stderr
    by: dict[str, dict[str, str]] = {"own": {}, "vllm": {}}  # engine -> who answers what -> answers
    for file in (copied / "store" / "answers").glob("*/RECORD.json"):
        record = json.loads(file.read_text())
        engine = record["settings"].pop("engine", "own")
        asked_of = json.dumps([record["settings"], record["inputs"]], sort_keys=True)
        by[engine][asked_of] = file.with_name("answers.jsonl").read_text()
    assert len(by["vllm"]) == 3 and by["vllm"].items() <= by["own"].items()
    assert "steps, 6 to do" in done.stdout  # the answers of three models, and what is read off them


def test_answers_to_a_benchmark_are_our_own_turn_by_turn(
    vllm: Path, session: None, model: Path, tmp_path: Path
) -> None:
    """The second prompt has the first answer in it."""
    rows = [{"question_id": i, "category": "math", "turns": [a, "d e"]} for i, a in enumerate("abc")]
    write_rows(tmp_path / "question.jsonl", rows)
    judge_prompts.write(tmp_path)
    given = {"benchmark": "mt-bench", "template": None, "seed": 0, "limit": None, "max_tokens": 8}
    inputs, context = {"data": tmp_path, "model": model}, {"device": "cpu", "batch": 2}
    said, told = {}, {}
    for engine, more in (("own", {}), ("vllm", {"engine": "vllm"})):
        out = tmp_path / engine
        out.mkdir()
        told[engine] = run_model(BY_MODEL.work(given | more, inputs, out, context))
        said[engine] = (out / "answers.jsonl").read_text()

    assert said["vllm"] == said["own"]
    assert told["vllm"] == {**told["own"], "vllm": VERSION}
    assert len(asked(vllm)) == 2 * len(rows)
