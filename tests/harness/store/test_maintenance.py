"""Looking after a store: what is damaged is named, what is at work is left alone, what is needed stays."""

import json
import os
from pathlib import Path

import pytest

from harness.store import maintenance
from harness.store.contents import listing
from harness.store.integrity import RECORD
from harness.store.locks import RUN
from harness.store.store import Store
from tests.harness.store.steps import MODEL, TextInputs, TextSettings, TextStep


def step(n: int, label: str = "ADPA", **inputs: TextStep) -> TextStep:
    return MODEL.step(label, TextSettings(str(n)), TextInputs(**inputs))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs" / "store")


def test_a_whole_store_has_no_damage_and_each_kind_of_damage_is_named(store: Store) -> None:
    whole, changed, torn, old = (store.make(step(n)) for n in range(4))
    assert not list(maintenance.damaged(store))
    (changed / "config.json").write_text("config.json of X")
    (changed / "model.safetensors").unlink()
    (torn / RECORD).write_text('{"id": ')
    record = json.loads((old / RECORD).read_text())
    (old / RECORD).write_text(json.dumps({k: v for k, v in record.items() if k not in ("files", "checksum")}))

    told = sorted(str(damage).partition("/")[2] for damage in maintenance.damaged(store))
    assert told == sorted(
        [
            f"{changed.name}/config.json: differs from its checksum",
            f"{changed.name}/model.safetensors: missing",
            f"{torn.name}/{RECORD}: cannot be read",
            f"{old.name}: holds no checksums",
        ]
    )
    assert whole.name in listing.text(listing.contents(store, {"train": {1}}))


def test_an_empty_store_says_how_large_it_is(store: Store) -> None:
    assert "0 artifacts, 0 B;" in listing.text(listing.contents(store, {}))
    (store.root / "train" / "empty").mkdir(parents=True)
    assert str(maintenance.removable(store.root / "train" / "empty", store)) == "train/empty  0 B"


def test_an_artifact_of_a_version_that_no_kind_has_is_told(store: Store) -> None:
    store.make(step(0, "DPO"))
    used, old = (
        listing.text(listing.contents(store, {"train": {version}})).splitlines() for version in (1, 2)
    )
    assert used[1].endswith("  DPO") and used[-1].endswith("of older versions: 0")
    assert old[1].endswith("  DPO (version 1, which no plan uses)") and old[-1].endswith(
        "of older versions: 1"
    )


def test_what_no_suite_needs_is_removed_and_what_is_needed_stays(store: Store) -> None:
    first = step(0)
    kept, other = store.make(first), store.make(step(1))
    needed = store.make(step(2, start=first))
    ids = {first.id, needed.name.rpartition("-")[2]}

    assert maintenance.unreferenced(store, None) == []
    assert maintenance.unreferenced(store, ids) == [other]
    maintenance.remove(store, [other])
    assert kept.exists() and needed.exists() and not other.exists()
    assert not list(store.root.glob("partial/*"))


def test_of_an_artifact_that_is_a_link_the_link_is_removed_and_nothing_else(store: Store) -> None:
    link = store.make(step(0))
    elsewhere = link.rename(store.root.parent / "elsewhere")
    link.symlink_to(elsewhere)
    left = store.root / "partial" / "aaaaaaaaaaaa.removed.1"
    left.symlink_to(elsewhere)

    assert maintenance.removable(link, store).bytes == 0
    assert maintenance.unreferenced(store, {"bbbbbbbbbbbb"}) == [left, link]
    maintenance.remove(store, [left, link])
    assert maintenance.unreferenced(store, {"bbbbbbbbbbbb"}) == []
    left.symlink_to(elsewhere)
    assert store.sweep() == [left] and not list(store.root.glob("partial/*"))
    assert (elsewhere / "config.json").is_file()


def test_unfinished_work_goes_unless_somebody_is_at_it_or_it_can_go_on(store: Store) -> None:
    done = store.make(step(0)).name.rpartition("-")[2]
    for folder in ("partial/aaaaaaaaaaaa.far.1", "partial/bbbbbbbbbbbb.far.1"):
        (store.root / folder).mkdir(parents=True)
    for number in (done, "cccccccccccc", "dddddddddddd"):
        (store.root / "unfinished" / number).mkdir(parents=True)

    def found(wanted: set[str] | None) -> list[str]:
        folders = maintenance.unreferenced(store, wanted)
        return sorted(p.name[:12] for p in folders if p.parent.name != "train")

    with store.locks.trying("aaaaaaaaaaaa"):
        assert found(None) == sorted(["bbbbbbbbbbbb", done])
        assert found({done, "cccccccccccc"}) == sorted(["bbbbbbbbbbbb", "dddddddddddd", done])


def test_nothing_is_removed_while_a_run_is_at_work(store: Store) -> None:
    with (
        store.locks.trying(f"{RUN}.here.1"),
        pytest.raises(OSError, match=f"a run is at work there .*process {os.getpid()}.*nothing was removed"),
    ):
        maintenance.unreferenced(store, set())


def test_a_model_is_copied_as_a_plain_folder(store: Store, tmp_path: Path) -> None:
    folder = store.make(step(0))
    for name in ("ADPA", folder.name, "adpa", step(0).id[:6]):
        to = tmp_path / "out" / name
        assert maintenance.export(name, tmp_path / "runs", to) == folder
        assert sorted(p.name for p in to.iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(ValueError, match="exists; name a folder that does not"):
        maintenance.export("ADPA", tmp_path / "runs", tmp_path / "out" / "ADPA")
    with pytest.raises(ValueError, match="no trained model 'ADPB'; did you mean 'ADPA'"):
        maintenance.export("ADPB", tmp_path / "runs", tmp_path / "new")
    with pytest.raises(ValueError, match="no finished run pocket"):
        maintenance.export("pocket/ADPA", tmp_path / "runs", tmp_path / "new")


def test_of_several_models_with_a_label_a_run_has_one(store: Store, tmp_path: Path) -> None:
    store.make(step(0))
    mine = store.make(step(1))
    (tmp_path / "runs" / "pocket").mkdir()
    (tmp_path / "runs" / "pocket" / "steps.jsonl").write_text(f'{{"id": "{step(1).id}"}}\n')

    with pytest.raises(ValueError, match="ADPA: there are 2, name one"):
        maintenance.export("ADPA", tmp_path / "runs", tmp_path / "a")
    assert maintenance.export("pocket/ADPA", tmp_path / "runs", tmp_path / "b") == mine
