"""What is damaged is not used: it is made again before anything reads it, and nobody loses what he reads."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.common import data_folder
from harness.models.prepare import LINK, LinkSettings
from harness.models.weights import content_hash
from harness.store import integrity, maintenance
from harness.store.contents import listing
from harness.store.integrity import RECORD
from harness.store.step import NoInputs, Step
from harness.store.store import Store
from tests.bench_command import bench
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.store.steps import MODEL, TextInputs, TextSettings
from tests.harness.store.steps import text_step as step
from tests.paths import TINY

LinkStep = Step[LinkSettings, NoInputs]


def altered(path: Path, text: str) -> None:
    """Other bytes of the same size, and the time of before."""
    at = path.stat()
    path.write_text(text)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    while path.stat().st_ctime_ns == at.st_ctime_ns:  # by a clock that may tick every 4 ms
        os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


def edited(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(record | {"measured": {"length": 7}}))


def folder_for_record(folder: Path) -> None:
    (folder / RECORD).unlink()
    (folder / RECORD).mkdir()


def file_for_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def loop(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "other bytes": (lambda folder: altered(folder / "text", "x"), "text differs from its checksum"),
    "cut": (lambda folder: os.truncate(folder / "text", 0), "text differs from its checksum"),
    "gone": (lambda folder: (folder / "text").unlink(), "text missing"),
    "one more": (lambda folder: (folder / "adapter.json").write_text("{}"), "adapter.json is not of it"),
    "record edited": (edited, f"{RECORD} differs from its checksum"),
    "a pipe": (lambda folder: pipe(folder / "text"), "text missing"),
    "record a pipe": (lambda folder: pipe(folder / RECORD), f"{RECORD} cannot be read"),
    "record a loop": (lambda folder: loop(folder / RECORD), f"{RECORD} missing"),
    "a loop": (loop, f"{RECORD} missing"),
    "record torn": (lambda folder: (folder / RECORD).write_text('{"id": '), f"{RECORD} cannot be read"),
    "record of no kind": (lambda folder: (folder / RECORD).write_text("[]"), f"{RECORD} cannot be read"),
    "record null": (lambda folder: (folder / RECORD).write_text("null"), f"{RECORD} cannot be read"),
    "record of a list": (lambda folder: (folder / RECORD).write_text("[1]"), f"{RECORD} cannot be read"),
    "record of nothing": (lambda folder: (folder / RECORD).write_text("{}"), f"{RECORD} cannot be read"),
    "record of files": (
        lambda folder: (folder / RECORD).write_text('{"files": 3}'),
        f"{RECORD} cannot be read",
    ),
    "record too deep": (
        lambda folder: (folder / RECORD).write_text("[" * 99_999),
        f"{RECORD} cannot be read",
    ),
    "record a folder": (folder_for_record, f"{RECORD} cannot be read"),
    "all a file": (file_for_folder, f"{RECORD} missing"),
    "record gone": (lambda folder: (folder / RECORD).unlink(), f"{RECORD} missing"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_is_told_and_made_again_before_anything_reads_it(tmp_path: Path, name: str) -> None:
    a, b, c = step("a"), step("b", first=step("a")), step("c", first=step("a"))
    folder, kept = Store(tmp_path).make(a), Store(tmp_path).make(b)
    damage, what = DAMAGES[name]
    damage(folder)
    store = Store(tmp_path)

    listing.contents(store, {})
    assert store.find(a) is None and list(store.records("text")) and list(store.latest("text"))
    assert store.damages([a, b, c]) == {folder: what}
    (line,) = maintenance.damage_lines({folder: what}, store)
    assert what in line and line.endswith("1 finished artifacts were made from it and stay")
    assert (store.make(c) / "text").read_text() == "ac"
    assert store.find(a) == folder and (folder / "text").read_text() == "a" and store.find(b) == kept
    known = not what.endswith((f"{RECORD} missing", "cannot be read"))  # the bytes of before
    assert store.record(folder)["recomputed"] == {"damage": what, "same_bytes": known}
    assert [p.name.partition(".")[0] for p in tmp_path.glob("damaged/*")] == [a.id]
    assert maintenance.unreferenced(store, None) == list(tmp_path.glob("damaged/*"))
    assert not list(maintenance.damaged(store)) and not list(tmp_path.glob("partial/*"))


def test_unfinished_work_that_was_damaged_is_told_and_counts_as_recomputed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Store(tmp_path).make(lossy := step("a", "lose"))
    what = "half: text differs from its checksum"
    assert Store(tmp_path).record(folder)["recomputed"] == {
        "damage": f"unfinished {what}",
        "same_bytes": True,
    }
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"bench: damaged, so it is not used: {tmp_path}/unfinished/{lossy.id}/{what}"
    assert (folder / "text").read_text() == "a" and not list(tmp_path.glob("unfinished/*"))


def test_what_is_whole_is_read_once_and_not_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, a = Store(tmp_path), step("a")
    folder = store.make(a)
    shutil.rmtree(tmp_path / "verified")  # as in a store of before, or a copy of one
    read: list[Path] = []
    monkeypatch.setattr(integrity, "sha256", lambda path: read.append(path) or "other")
    assert Store(tmp_path).damages([a]) and read == [folder / "text"]

    monkeypatch.undo()
    assert Store(tmp_path).find(a) == folder
    monkeypatch.setattr(integrity, "sha256", lambda path: read.append(path) or "other")
    assert Store(tmp_path).find(a) == folder and len(read) == 1


def test_a_file_that_lies_elsewhere_behind_a_link_is_whole_while_its_content_is(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    folder = store.make(a)
    (folder / "text").rename(tmp_path / "far")
    (folder / "text").symlink_to(tmp_path / "far")
    assert Store(tmp_path).find(a) == folder
    altered(tmp_path / "far", "x")
    assert Store(tmp_path).damages([a]) == {folder: "text differs from its checksum"}


def test_a_store_that_may_only_be_read_is_used(tmp_path: Path) -> None:
    store, a = Store(tmp_path), step("a")
    folder = store.make(a)
    shutil.rmtree(tmp_path / "verified")
    (tmp_path / "verified").write_text("no folder, so nothing is noted")

    assert Store(tmp_path).find(a) == folder


def test_who_reads_a_damaged_artifact_reads_on_while_it_is_made_again(tmp_path: Path) -> None:
    a = step("a")
    folder = Store(tmp_path).make(a)
    os.link(folder / "text", tmp_path / "mine")
    opened = (folder / "text").open()
    missed, over = [], threading.Event()

    def read() -> None:
        while not over.is_set():
            if not (folder / "text").exists() or not (folder / RECORD).exists():
                missed.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        (folder / "text").write_text("x")
        assert Store(tmp_path).make(a) == folder and (folder / "text").read_text() == "a"
    over.set()
    reader.join()

    assert not missed
    # A link of somebody's own leads to what was damaged, which nobody has written to.
    assert opened.read() == (tmp_path / "mine").read_text() == "x"
    assert len(list(tmp_path.glob("damaged/*"))) == 20


def test_a_kill_while_it_is_made_again_leaves_the_damaged_one_in_place(tmp_path: Path) -> None:
    a = step("a")
    folder = Store(tmp_path).make(a)
    (folder / "text").write_text("x")
    make = f"Store(Path({str(tmp_path)!r})).make(step('a', 'linger'))"
    code = f"from tests.harness.store.test_integrity import *; {make}"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"begun\n"
    kept = tmp_path / "unfinished" / a.id
    kept.mkdir(parents=True)
    store = Store(tmp_path)
    store.sweep()
    assert kept.exists() and store.attempt(a) is None and (folder / "text").read_text() == "x"
    child.kill()
    child.wait()

    assert store.sweep() and kept.exists()  # what it kept of its work is for the next one
    assert store.make(a) == folder and (folder / "text").read_text() == "a" and not kept.exists()


def test_two_processes_make_a_damaged_artifact_again_once(tmp_path: Path) -> None:
    names = [str(i) for i in range(20)]
    for name in names:
        (Store(tmp_path).make(step(name)) / "text").write_text("x")
    code = (
        f"from tests.harness.store.test_integrity import *; s = Store(Path({str(tmp_path)!r}))\n"
        f"assert [(s.make(step(n)) / 'text').read_text() for n in {names}] == {names}"
    )
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]

    assert [child.wait() for child in children] == [0, 0]
    assert len(list(tmp_path.glob("damaged/*"))) == len(list(tmp_path.glob("text/*"))) == 20


def model_of(folder: Path, text: str) -> LinkStep:
    tiny_folder(folder)
    (folder / "notes").write_text(text)
    (folder / "original").mkdir(exist_ok=True)  # as hubs keep other formats
    settings = LINK.settings("model", content_hash(folder.iterdir()))
    return LINK.step("m", settings, NoInputs(), {"path": str(folder)})


def data_of(folder: Path, text: str) -> LinkStep:
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "sub" / "x.jsonl").write_text(text)
    settings = LINK.settings("data", data_folder.fingerprint(folder))
    return LINK.step("d", settings, NoInputs(), {"path": str(folder)})


@pytest.mark.parametrize(("make", "file"), [(model_of, "notes"), (data_of, "files/sub/x.jsonl")])
def test_links_lead_to_what_their_step_is_named_for_wherever_it_lies(
    tmp_path: Path, make: Callable[[Path, str], LinkStep], file: str
) -> None:
    a, b, runs = tmp_path / "a", tmp_path / "b", tmp_path / "store"
    before = make(a, "first")
    link = Store(runs).make(before)
    shutil.copytree(a, b)
    moved = replace(before, context={"path": str(b)})
    assert Store(runs).find(moved) == link  # a second place of the same content is no reason to link again

    make(a, "others")
    assert (link / file).read_text() == "others" and Store(runs).find(moved) is None
    assert (Store(runs).make(moved) / file).read_text() == "first"
    shutil.rmtree(a)
    assert Store(runs).find(moved) == link and not list(Store(runs).sweep())
    shutil.rmtree(b)
    assert "which is gone" in Store(runs).damages([moved])[link]


def test_what_was_found_of_a_folder_is_not_what_its_step_knows_of_it(tmp_path: Path) -> None:
    """The same folder looked at without its step, then with it, then with another place."""
    a, b, store = tmp_path / "a", tmp_path / "b", Store(tmp_path / "store")
    step = data_of(a, "first")
    link = store.make(step)
    data_of(b, "first")
    data_of(a, "others")
    assert store.damage(link) == "" and "is not what it was" in store.damage(
        link, replace(step, context={"path": str(b)})
    )
    data_of(a, "first")
    assert store.damage(link, step) == ""


def test_a_damaged_model_is_not_exported(tmp_path: Path) -> None:
    model = MODEL.step("ADPA", TextSettings("1"), TextInputs())
    folder = Store(tmp_path / "store").make(model)
    altered(folder / "model.safetensors", "model.safetensors of 2")

    with pytest.raises(ValueError, match=r"model\.safetensors differs from its checksum"):
        maintenance.export("ADPA", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_makes_a_damaged_checkpoint_again_and_has_the_numbers_of_before(copied: Path) -> None:
    """40 flipped signs in DCKD's weights, and its answers still to come."""
    (weights,) = (copied / "store").glob("train/dckd-*/model.safetensors")
    before, raw = weights.read_bytes(), bytearray(weights.read_bytes())
    for i in range(40):
        raw[-4 * i - 1] ^= 0x80
    weights.write_bytes(bytes(raw))
    known = list((copied / "store").glob("answers/*of-dckd-*"))
    assert len(known) == 2
    for answers in known:
        shutil.rmtree(answers)
    results = (copied / "tiny" / "results.jsonl").read_bytes()
    (copied / "tiny" / "results.jsonl").unlink()

    done = bench("run", TINY, "--runs", str(copied))
    assert done.returncode == 0, done.stderr
    assert "model.safetensors differs from its checksum" in done.stdout
    assert weights.read_bytes() == before
    assert "artifacts recomputed 1;" in (copied / "tiny" / "tables" / "main.md").read_text()
    assert (copied / "tiny" / "results.jsonl").read_bytes() == results


def test_of_what_is_as_it_was_not_even_the_record_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = step("a")
    folder, read = Store(tmp_path).make(a), list[Path]()
    record = integrity.read_record
    monkeypatch.setattr(integrity, "read_record", lambda folder: read.append(folder) or record(folder))
    assert Store(tmp_path).find(a) == folder and not read
    os.utime(folder / RECORD)
    assert Store(tmp_path).find(a) == folder and read == [folder]
