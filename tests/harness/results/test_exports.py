"""A run's exports: every file says who was compared with whom, under the names of the files themselves."""

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.json_files import json_lines
from harness.evaluate import registry
from harness.results import exports, judging, manifest
from harness.results.records import records
from harness.run import pipeline
from harness.store.store import Store
from harness.suite import loading

SUITE = """
name: compared
seeds: [0, 1]
world_seeds: [0]
models: {constant: {control: constant}, copy: {control: copy}}
benchmarks:
  arena-hard: {data: DATA, judge: first, reference: copy}
"""
JUDGE = """
from benchmarks.api import Reply
from harness.evaluate.judges import computed
JUDGE = computed("first", lambda messages: Reply("[[A>B]]"))
"""


@pytest.fixture
def overrides() -> list[str]:
    return []


@pytest.fixture
def out(tmp_path: Path, overrides: list[str]) -> Path:
    """Exports of a comparison of two controls by a judge who likes what stands first.

    An earlier manifest names a file that is as it was, one that was changed, and one that lies elsewhere.
    """
    (tmp_path / "exports").mkdir()
    earlier = {name: hashlib.sha256(b"old").hexdigest() for name in ("old", "changed", "../elsewhere")}
    for name, content in (("old", "old"), ("changed", "mine"), ("../elsewhere", "old")):
        (tmp_path / "exports" / name).write_text(content)
    manifest.write((), earlier, tmp_path / "exports")
    data = tmp_path / "data"
    data.mkdir()
    asked = [{"uid": f"q{n}", "category": "arena-hard-v0.1", "prompt": f"say {n}"} for n in range(3)]
    (data / "question_v0.1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (tmp_path / "compared.yaml").write_text(SUITE.replace("DATA", str(data)))
    (tmp_path / "first.py").write_text(JUDGE)
    known = registry.known(None, str(tmp_path / "first.py"))
    suite = loading.load(str(tmp_path / "compared.yaml"), overrides, known)
    store = Store(tmp_path / "store")
    plan = pipeline.make_plan(suite, [], store, pipeline.machine(tmp_path), None)
    for step in plan.steps:
        store.make(step)
    exports.write(plan, store, judging.read_rows(plan, store), tmp_path / "exports")
    assert {r.value for r in records(plan, store) if r.method == "copy"} == {0.5}
    return tmp_path / "exports"


def test_the_reference_is_named_as_its_own_file_is(out: Path) -> None:
    found = {p.stem: list(json_lines(p)) for p in out.rglob("model_judgment/*/*.jsonl")}
    answers = {p.stem for p in out.rglob("model_answer/*.jsonl")}
    assert set(found) == answers
    named = {model: {row["baseline"] for row in rows} for model, rows in found.items()}
    assert named == {f"{seed}-{m}": {f"{seed}-copy"} for seed in (0, 1) for m in ("constant", "copy")}


@pytest.mark.parametrize("overrides", [["seeds={constant: 2, copy: 1}"]])
def test_a_reference_of_fewer_seeds_is_named_as_its_only_file_is(out: Path) -> None:
    found = {p.stem: list(json_lines(p)) for p in out.rglob("model_judgment/*/*.jsonl")}
    assert set(found) == {"0-constant", "1-constant", "0-copy"}
    assert {row["baseline"] for rows in found.values() for row in rows} == {"0-copy"}


def test_what_an_earlier_run_wrote_goes_and_what_is_of_others_stays(out: Path) -> None:
    assert not (out / "old").exists()
    assert (out / "changed").read_text() == "mine" and (out / "../elsewhere").read_text() == "old"
    written = manifest.read(out)
    assert written and {row.row for row in written.rows} == {"0-constant", "0-copy", "1-constant", "1-copy"}
    assert written.differences(out) == ["changed was not written by this run"]
