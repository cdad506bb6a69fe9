"""What an artifact was made by: two are compared down to the setting, and changed code is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store import integrity, provenance
from harness.store.code_version import recorded_digest, sources
from harness.store.integrity import RECORD
from harness.store.step import Part, Step
from harness.store.store import Store
from tests.bench_command import bench
from tests.harness.store.steps import TextSettings
from tests.harness.store.steps import text_step as step


def chain(store: Store, text: str, size: int) -> Step:
    """base <- middle <- last, the base with a setting."""
    base = replace(step("base"), settings=TextSettings("base", {"size": size}))
    middle = step("middle", base=base)
    last = step(text, middle=middle, other=Part(base, "part"))
    for made in (base, middle):
        store.make(made)
    inside = store.find(base) / "part"  # type: ignore[operator]
    inside.mkdir()
    (inside / "text").write_text("part")
    store.make(last)
    return last


def test_two_artifacts_differ_in_settings_and_below_their_inputs_in_what_made_these(tmp_path: Path) -> None:
    """Each pair of inputs is looked into once, however many ways lead to it."""
    store = Store(tmp_path)
    one, two = chain(store, "last", 1), chain(store, "last", 2)
    lines = provenance.artifact_differences(one.id, store.find(two).name, store)  # type: ignore[union-attr]
    ids = [(one.sources[n].id, two.sources[n].id) for n in ("middle", "other")]
    assert lines == [
        f"middle {ids[0][0]} -> {ids[0][1]}",
        f"    base {ids[1][0]} -> {ids[1][1]}",
        "        world.size 1 -> 2",
        f"other {ids[1][0]}/part -> {ids[1][1]}/part",
    ]
    assert provenance.artifact_differences(one.id, one.id, store) == [
        f"{one.id} and {one.id} are one artifact"
    ]


def test_the_command_prints_them_and_refuses_a_name_that_nothing_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    a, b = (store.make(step(text)) for text in "ab")
    told = bench("why", a.name, b.name, "--runs", str(tmp_path))
    assert told.stdout == "label text a -> text b\ntext a -> b\n"
    refused = bench("why", a.name, b.name[:-1], "--runs", str(tmp_path))
    assert refused.returncode == 2 and f"did you mean '{b.name}'?" in refused.stderr


def test_code_that_has_changed_since_is_told_with_how_many_steps_it_made(tmp_path: Path) -> None:
    store, made = Store(tmp_path), [step(text) for text in "abc"]
    folders = [store.make(s) for s in made]
    assert provenance.changed_code_line(made, store) == ""
    for folder, source in zip(folders, ("x", "x", ""), strict=True):
        record = json.loads((folder / RECORD).read_text())
        record["sources"] = {"harness.train.step": source} if source else {}
        (folder / RECORD).write_text(json.dumps(record | {"checksum": integrity.checksum(record)}))
    of_train = [replace(s, kind=replace(s.kind, run="harness.train.step:run")) for s in made]
    assert provenance.changed_code_line(of_train, store).endswith(
        "no version says otherwise: harness.train.step (2)"
    )


def test_a_record_names_the_files_of_its_step_and_of_its_formula(tmp_path: Path) -> None:
    found = sources("harness.train.step:run", {"formula": "methods.dpo.loss"})
    assert list(found) == ["harness.train.step", "methods.dpo"] and all(len(d) == 12 for d in found.values())
    assert sources("tests.harness.store.steps:write_text", {"formula": "own_file.loss"}) == {}


@pytest.mark.parametrize("former", ["harness.train", "harness.objective"])
def test_a_digest_is_found_under_each_former_name_of_its_module(former: str) -> None:
    assert recorded_digest({former: "x"}, "harness.train.step") == "x"
    assert recorded_digest({former: "x", "harness.train.step": "y"}, "harness.train.step") == "y"
    assert recorded_digest({"harness.other": "x"}, "harness.train.step") is None


@pytest.mark.parametrize("name", ["nothing", ""])
def test_a_name_that_no_artifact_has_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no artifact"):
        provenance.artifact_differences(name, name, Store(tmp_path))
