"""`--json` of every listing: what programs read, and nothing else on standard output."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.registry import DATA_SETS
from harness.cli.app import app
from harness.store.integrity import RECORD
from tests import suites
from tests.paths import TINY


def said(*words: str, code: int = 0) -> Any:
    """What a command prints, as JSON."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_suites_and_their_keys() -> None:
    found = {suite["suite"]: suite for suite in said("suites")}
    pocket = suites.load("pocket")
    assert found["pocket"]["methods"] == len(pocket.methods)
    assert found["pocket"]["benchmarks"] == list(pocket.benchmarks.settings_by_name())
    [key] = [key for section in said("suites", "keys", "max_length") for key in section["keys"]]
    assert (key["name"] == "max_length" and key["default"] == str(pocket.max_length)) or key["default"]


def test_the_data_of_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    found = {row["name"]: row for row in said("data", "list")}
    assert list(found) == list(DATA_SETS)
    for name, source in DATA_SETS.items():
        assert found[name]["kind"] == "not here" and found[name]["folder"] is None
        assert found[name]["files"] == {file.name: "missing" for file in source.files}


def test_runs_and_what_a_store_holds(tiny_run: Path) -> None:
    where = ("--runs", str(tiny_run))
    assert [(run["run"], run["suite"], run["rows"]) for run in said("runs", *where)] == [("tiny", TINY, 7)]
    held = said("store", "ls", *where)
    records = {p.parent: json.loads(p.read_text()) for p in tiny_run.glob(f"store/*/*/{RECORD}")}
    assert (held["unfinished"], held["damaged"]) == (0, 0)
    assert {(one["kind"], one["id"], one["label"]) for one in held["artifacts"]} == {
        (record["kind"], record["id"], record["label"]) for record in records.values()
    }
    for folder, record in records.items():
        (one,) = (one for one in held["artifacts"] if one["id"] == record["id"])
        users = [
            r for r in records.values() if one["id"] in {i.partition("/")[0] for i in r["inputs"].values()}
        ]
        own = [p for p in folder.rglob("*") if p.is_symlink() or p.is_file()]
        assert one["used_by"] == len(users) and one["bytes"] == sum(p.lstat().st_size for p in own)
        assert one["version"] == record["version"] and not one["outdated"]


def test_what_is_wrong_with_a_store_and_what_may_go(copied: Path) -> None:
    where = ("--runs", str(copied))
    (world,) = copied.glob("store/world/*")
    (file,) = world.glob("sft.jsonl")
    file.write_text(file.read_text() + "\n")
    checked = said("store", "verify", *where, code=1)
    assert checked["artifacts"] == len(list(copied.glob(f"store/*/*/{RECORD}")))
    artifact = f"world/{world.name}"
    assert checked["damages"] == [
        {"artifact": artifact, "file": "sft.jsonl", "what": "differs from its checksum"}
    ]

    left = copied / "store" / "partial" / "3f9c01d2ab77.far.1"
    left.mkdir(parents=True)
    (left / "text").write_text("half")
    may_go = [{"folder": "partial/3f9c01d2ab77.far.1", "bytes": 4}]
    assert said("store", "gc", *where) == {"removed": False, "folders": may_go} and left.exists()
    assert said("store", "gc", "--yes", *where) == {"removed": True, "folders": may_go} and not left.exists()


def test_a_plan_with_why_each_step_runs_and_what_it_takes(tiny_run: Path) -> None:
    words = ("run", TINY, "--runs", str(tiny_run))
    done = said(*words, "--plan")
    assert done["suite"] == "tiny" and done["seconds"] == 0 and done["notes"]
    steps = {step["id"]: step for step in done["steps"]}
    records = [json.loads(p.read_text()) for p in tiny_run.glob(f"store/*/*/{RECORD}")]
    assert steps.keys() == {r["id"] for r in records} - {r["id"] for r in records if r["kind"] == "overlap"}
    for record in records:
        if step := steps.get(record["id"]):
            assert step["done"] and step["why"] == "" and step["inputs"] == record["inputs"]
            assert step["recorded"]["seconds"] == record["seconds"]

    changed = said(*words, "--plan", "--set", "methods.DPO.beta=0.3")
    (training,) = (s for s in changed["steps"] if s["kind"] == "train" and not s["done"])
    assert training["label"] == "DPO" and "0.1 -> 0.3" in training["why"] and training["recorded"] is None
    assert training["estimate"]["flops"] > 0 and changed["seconds"] >= training["estimate"]["seconds"] > 0
    assert said(*words, "--check")["steps"] == done["steps"]


def test_what_judging_costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names of the hub that nobody here can look up are told beside it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = said("run", "adpa-llama", "--estimate", "--runs", str(tmp_path))
    assert {row["benchmark"] for row in found["judging"]} >= {"mt-bench", "alpaca-eval"}
    assert all(row["calls"] > 0 and row["prompt_tokens"] > 0 for row in found["judging"])
    assert found["usd"] == pytest.approx(sum(row["usd"] for row in found["judging"]))


def test_json_of_what_has_none_is_refused_before_any_work(tmp_path: Path) -> None:
    for words, told in (
        (("run", TINY, "--runs", str(tmp_path)), "--json: with --plan, --check or --estimate"),
        (("suites", "show", "pocket"), "bench suites show pocket --json: nothing, or keys"),
    ):
        done = CliRunner().invoke(app, [*words, "--json"])
        assert isinstance(done.exception, ValueError) and told in str(done.exception)
    assert not list(tmp_path.iterdir())
