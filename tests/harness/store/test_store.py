"""The store: what is done is found, what is not is never seen."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store import maintenance
from harness.store.integrity import RECORD
from harness.store.step import Part
from harness.store.store import Store
from tests.harness.store.steps import TEXT, Cycle, TextInputs, TextSettings
from tests.harness.store.steps import text_step as step


def test_an_artifact_is_made_once_and_found_again(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    folder = store.make(a)
    made = (folder / "text").stat().st_mtime_ns

    assert Store(tmp_path).make(step("a")) == folder
    assert (folder / "text").stat().st_mtime_ns == made
    assert store.record(folder)["measured"] == {"length": 1}


def test_an_id_covers_settings_and_inputs_but_neither_context_nor_label() -> None:
    a, b = step("a"), step("b")
    settings = TextSettings("a")
    renamed = TEXT.step("another label", settings, TextInputs(), {"device": "cuda"}, name="other")

    assert renamed.id == a.id != b.id
    assert step("c", first=a).id != step("c", first=b).id
    assert step("c", first=a).id != step("c", second=a).id
    assert step("c", first=Part(a, "x")).id != step("c", first=a).id
    assert replace(TEXT, version=2).step("", settings, TextInputs()).id != a.id


def test_a_step_reads_its_inputs(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    store.make(a)

    assert (store.make(step("b", first=a)) / "text").read_text() == "ab"


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="no"):
        store.make(step("a", "fail"))

    assert store.find(step("a")) is None
    assert not list(tmp_path.glob("partial/*"))


def test_a_step_leaves_nothing_in_memory(tmp_path: Path) -> None:
    """The collector, which would come by chance, is off."""
    gc.disable()
    try:
        Store(tmp_path).make(step("a", "leave"))
    finally:
        gc.enable()

    assert [cycle() for cycle in Cycle.left] == [None]


def test_a_killed_step_is_not_found_and_its_work_is_swept(tmp_path: Path) -> None:
    make = f"Store(Path({str(tmp_path)!r})).make(step('a', 'linger'))"
    code = f"from tests.harness.store.test_store import *; {make}"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"begun\n"
    store = Store(tmp_path)
    store.sweep()
    assert list(tmp_path.glob("partial/*/text")), "the work of a living process stays"
    assert store.news(step("a")) == ("texts 0/1", None) and store.locks.holder(step("a").id)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    assert store.find(step("a")) is None
    store.sweep()
    assert not [left for place in ("partial", "running", "locks") for left in tmp_path.glob(f"{place}/*")]
    assert (store.make(step("a")) / "text").read_text() == "a"


def test_two_processes_that_make_the_same_step_end_with_one_artifact(tmp_path: Path) -> None:
    code = (
        f"from tests.harness.store.test_store import *; s = Store(Path({str(tmp_path)!r}))\n"
        "for i in range(40): s.make(step(str(i)))"
    )
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]

    assert [child.wait() for child in children] == [0, 0]
    records = list(tmp_path.glob(f"text/*/{RECORD}"))
    assert len(records) == 40
    assert {json.loads(r.read_text())["measured"]["length"] for r in records} == {1, 2}
    assert not list(tmp_path.glob("partial/*"))


def test_folders_of_others_stay_when_partial_work_is_swept(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    store.make(a)
    own = [tmp_path / place / "mine" for place in ("partial", "unfinished", "damaged")]
    began = tmp_path / "partial" / f"{a.id}.host-7.1"
    for folder in (*own, began):
        folder.mkdir(parents=True)

    assert store.sweep() == [began]
    assert maintenance.unreferenced(store, None) == [] and all(folder.exists() for folder in own)


def test_a_label_of_any_length_names_a_folder(tmp_path: Path) -> None:
    long = TEXT.step("請問" * 300, TextSettings("a"), TextInputs())
    assert Store(tmp_path).make(long).is_dir()


def test_a_step_that_runs_again_finds_what_it_kept_which_goes_with_its_publication(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a", "count")
    with pytest.raises(ValueError, match="no"):
        store.make(a)
    store.sweep()
    kept = tmp_path / "unfinished" / a.id

    assert kept.exists()
    assert (store.make(a) / "text").read_text() == "kept" and not kept.exists()
    kept.mkdir()  # as a kill behind the publication leaves it
    store.sweep()
    assert not kept.exists()


def test_what_another_process_publishes_or_removes_is_seen_at_once(tmp_path: Path) -> None:
    ours, theirs, a = Store(tmp_path), Store(tmp_path), step("a")
    assert ours.find(a) is None
    folder = theirs.make(a)
    assert ours.find(a) == folder
    shutil.rmtree(folder)
    assert ours.find(a) is None
    assert theirs.make(a) == folder and ours.find(a) == folder
