"""What a card says of models and data from outside: of the hub by name and commit, others by content."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, constants

from harness.results.hub import card, dataset_folder, folder, licences
from harness.results.hub.origin import Origin, Source, origin
from harness.results.records import RowKey
from harness.store.store import Store
from reports.records import run_folder
from tests.reports.page import page_run

COMMIT = "1f" * 20
TEMPLATE = "{{ messages[0].content }}"
ROWS = {"split": "train", "limit": None, "template": TEMPLATE}
COUNTS = {"chosen": {"sequences": 58}, "rejected": {"sequences": 58}, "read": 60, "dropped": {"too long": 2}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DPO model of a hub's base, on a hub's pairs, after SFT on a local file, beside a local teacher."""

    def artifact(
        kind: str, n: int, label: str, settings: dict[str, Any], inputs: dict[str, str], **m: Any
    ) -> None:
        folder = tmp_path / "store" / kind / f"{kind}-{n:012d}"
        folder.mkdir(parents=True)
        record = {"id": f"{n:012d}", "kind": kind, "version": 1, "label": label, "settings": settings}
        more = {"inputs": inputs, "sources": {}, "seconds": 1.0, "measured": m, "files": {}}
        (folder / "RECORD.json").write_text(json.dumps(record | more))

    def of(n: int) -> str:
        return f"{n:012d}"

    hub = {"kind": "model", "fingerprint": f"org/base@{COMMIT}"}
    artifact("link", 1, "model base", hub, {}, source="/home/me/cache/base")
    artifact("link", 2, "model teacher", {"kind": "model", "fingerprint": "sha256:ab12"}, {})
    pairs = {"path": "ultra", "fingerprint": f"org/ultra@{COMMIT}", **ROWS}
    artifact("pairs", 3, "train pairs", pairs, {"tokenizer": of(1), "teacher": of(2)}, **COUNTS)
    talk = {"path": "talk.jsonl", "fingerprint": "sha256:cd34", **ROWS}
    artifact("dialogues", 4, "SFT dialogues", talk, {"tokenizer": of(1)}, sequences=9, read=9, dropped={})
    artifact("train", 5, "sft student", {"seed": 0}, {"start": of(1), "view.chosen": of(4)})
    inputs = {"start": of(5), "view.chosen": f"{of(3)}/chosen", "live.teacher": of(2)}
    artifact("train", 6, "DPO", {"seed": 1, "hp": {"beta": 0.1}}, inputs)
    return Store(tmp_path / "store")


@pytest.fixture
def found(store: Store) -> Origin:
    return origin(store.root / "train" / f"train-{6:012d}", store)


def test_the_origin_is_that_of_the_records(found: Origin) -> None:
    assert (found.base.repository, found.base.revision) == ("org/base", COMMIT)
    assert [stage["label"] for stage in found.stages] == ["sft student", "DPO"]
    assert [(m.name, m.repository, m.revision) for m in found.models] == [("teacher", "", "sha256:ab12")]
    told = {data.source.what: (data.source.repository, data.rows, data.read) for data in found.data}
    assert found.template == TEMPLATE
    assert told == {"SFT dialogues": ("", 9, 9), "train pairs": ("org/ultra", 58, 60)}


def test_a_base_that_is_gone_from_the_store_is_one_line(store: Store) -> None:
    shutil.rmtree(store.root / "link" / f"link-{1:012d}")
    with pytest.raises(ValueError, match="what it was made from is gone; the same run makes it"):
        origin(store.root / "train" / f"train-{6:012d}", store)


def test_the_card_names_what_the_hub_knows_and_says_what_is_not_known(found: Origin, tmp_path: Path) -> None:
    run_folder.write(page_run.rows(), tmp_path / "toy")
    key, rows = RowKey("pair", "data", "ADPA", 0, 0), run_folder.read(tmp_path / "toy")
    told = card.text(card.Card("o/n", "toy", key, [0], found, rows, "mit", {"org/ultra": "cc-by-4.0"}))
    data = ModelCard(told).data
    assert (data.base_model, data.datasets, data.license) == ("org/base", ["org/ultra"], "mit")
    for words in (
        f"- Base model: [org/base](https://huggingface.co/org/base) at `{COMMIT}`",
        "- Beside it: a local model, `teacher`, whose files have the hash `sha256:ab12`",
        "58 rows of 60 read, 2 dropped (too long); licence: cc-by-4.0",
        "SFT dialogues: `talk.jsonl`: 9 rows of 9 read; licence: not known",
        "- stage: DPO\n  seed: 1\n  hp.beta: 0.1",
    ):
        assert words in told
    assert "/home/me" not in told


ACTING = "x](http://y.example) <script>alert(1)</script> | `a`\n# head \x1b[2J"


def test_no_name_in_a_card_acts(store: Store, tmp_path: Path) -> None:
    final = store.root / "train" / f"train-{6:012d}" / "RECORD.json"
    record = json.loads(final.read_text())
    final.write_text(json.dumps(record | {"label": f"a\n```\n{ACTING}", "settings": {"seed": ACTING}}))
    found = origin(final.parent, store)
    found = replace(found, models=(Source("", f"a`{ACTING}", "", "sha256:ab12", tmp_path),))
    run_folder.write(page_run.rows((*page_run.METHODS, ACTING)), tmp_path / "toy")
    key, rows = RowKey("pair", "data", ACTING, 0, 0), run_folder.read(tmp_path / "toy")
    dataset_folder.write(tmp_path / "toy", tmp_path / "out")
    _, _, dataset = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    _, _, told = card.text(card.Card("o/n", ACTING, key, [0], found, rows, "mit", {})).split("---\n", 2)
    blocks = re.split(r"(?m)^```.*$", told)
    for text in (dataset, *blocks[::2]):
        bare = re.sub(r"\\[!-/:-@\[-`{-~]|`[^`\n]*`|</?(sup|u)>", "", text)
        assert "<script" not in bare and "](http://y" not in bare and "\x1b" not in text
        assert "\n# head" not in bare
    assert len(blocks) == 5 and "<script>" in blocks[3]  # the recipe is one block of code


def test_the_folder_has_the_template_of_the_training_and_no_place_of_this_machine(
    found: Origin, store: Store, tmp_path: Path
) -> None:
    model = store.root / "train" / f"train-{6:012d}"
    (model / "config.json").write_text(json.dumps({"_name_or_path": "/home/me/base", "model_type": "llama"}))
    (model / "chat_template.jinja").write_text("the tokenizer's own")
    run_folder.write(page_run.rows(), tmp_path / "toy")
    key, rows = RowKey("pair", "data", "ADPA", 0, 0), run_folder.read(tmp_path / "toy")
    told = card.Card("o/n", "toy", key, [0], found, rows, "mit", {})
    folder.write(f"train-{6:012d}", told, tmp_path / "out", tmp_path)
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == TEMPLATE
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {"model_type": "llama"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
    }
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]


def test_a_licence_is_read_off_the_card_in_a_models_folder(
    found: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert licences.known(found) == {}
    (found.base.folder / "README.md").write_text("---\nlicense: llama3\n---\n")
    assert licences.known(found) == {"org/base": "llama3"}
    (found.base.folder / "README.md").write_text("---\nlicense: {{ license }}\n---\n")
    assert licences.known(found) == {}
