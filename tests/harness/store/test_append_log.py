"""Steps that are killed half-way: what is on the disk is used, and the artifact is as if nothing had been."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.api import Sampling
from harness.data import token_sequences
from harness.models import generation
from harness.signals import stored
from harness.signals.kinds import SIGNALS, SignalInputs, SignalSettings
from harness.signals.rollouts import ROLLOUTS as ROLLOUT_KIND
from harness.signals.rollouts import RolloutInputs, RolloutSettings
from harness.store import append_log
from harness.store.append_log import AppendOnlyLog
from harness.store.array_file import Note
from harness.store.integrity import RECORD
from harness.store.step import NoInputs, Step, StepKind, Work
from harness.store.store import Store
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.killed import killed_behind


@dataclass(frozen=True)
class RandomSettings:
    """Of random prompts and responses: how many."""

    count: int = 0


def make_model(work: Work[RandomSettings, NoInputs]) -> dict[str, Any]:
    """A step: a random Llama."""
    tiny_folder(work.out)
    return {}


def make_sequences(work: Work[RandomSettings, NoInputs]) -> dict[str, Any]:
    """A step: random prompts and responses."""
    draw = torch.Generator().manual_seed(0)
    rows = []
    for row in range(work.settings.count):
        prompt, answer = torch.randint(2, 20, (2,), generator=draw).tolist()
        ids = torch.randint(4, VOCAB, (prompt + answer,), generator=draw).tolist()
        rows.append(token_sequences.response(row, ids[:prompt], ids[prompt:]))
    return token_sequences.write(work.out, rows)


HERE = "tests.harness.store.test_append_log"
RANDOM_MODEL = StepKind("model", RandomSettings, NoInputs, f"{HERE}:make_model")
RANDOM_SEQUENCES = StepKind("pairs", RandomSettings, NoInputs, f"{HERE}:make_sequences")
HOW = {"device": "cpu", "batch": 4, "tokens": 64}
MODEL = RANDOM_MODEL.step("model", RandomSettings(), NoInputs())
PROMPTS = RANDOM_SEQUENCES.step("prompts", RandomSettings(60), NoInputs())
MANY = RANDOM_SEQUENCES.step("many", RandomSettings(1_000), NoInputs())
SAMPLED = RolloutSettings(Sampling(1.0, 0.9, 40), 1, drop_truncated=False, template=None, seed=0)
ROLLOUTS = ROLLOUT_KIND.step("rollouts", SAMPLED, RolloutInputs(MODEL, PROMPTS), HOW)
TOP = SIGNALS.step("topk", SignalSettings("topk", "float32", 4), SignalInputs(MODEL, MANY), HOW)


def made_without_delay(root: Path, wanted: Step) -> None:
    """The step, each line of which is on the disk at once."""
    append_log.FLUSH_SECONDS = 0.0
    Store(root).make(wanted)


def killed(root: Path, wanted: Step, owner: type, method: str, calls: int) -> Path:
    """The folder that a step left: killed in a process of its own behind so many calls of what writes."""
    store = Store(root)
    for source in wanted.sources.values():
        store.make(source)
    killed_behind(owner, method, calls, made_without_delay, root, wanted)
    return root / "unfinished" / wanted.id


def left_alone(root: Path, wanted: Step) -> Path:
    """The artifact of a store in which nothing was killed."""
    store = Store(root)
    for source in wanted.sources.values():
        store.make(source)
    return store.make(wanted)


def assert_same(a: Path, b: Path) -> None:
    """Byte for byte; of the record all but the seconds."""
    names = sorted(p.name for p in a.iterdir())
    assert names == sorted(p.name for p in b.iterdir())
    for name in names:
        if name != RECORD:
            assert (a / name).read_bytes() == (b / name).read_bytes(), name
    records = [json.loads((folder / RECORD).read_text()) for folder in (a, b)]
    assert records[0]["measured"] == records[1]["measured"]


def test_answers_of_a_killed_step_are_not_decoded_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = left_alone(tmp_path / "alone", ROLLOUTS)
    lines = AppendOnlyLog(tmp_path / "killed" / "unfinished" / ROLLOUTS.id)
    killed(tmp_path / "killed", ROLLOUTS, AppendOnlyLog, "add", 10)
    known = len(lines.read()[0])
    assert 10 <= known < 60
    [file] = (tmp_path / "killed" / "unfinished" / ROLLOUTS.id).glob("*.jsonl")
    with file.open("a") as torn:
        torn.write('{"key": "0')

    with caplog.at_level(logging.INFO, generation.__name__):
        again = Store(tmp_path / "killed").make(ROLLOUTS)
    assert f"{known} of 60 answers were kept from before" in caplog.messages
    assert_same(alone, again)
    assert not (tmp_path / "killed" / "unfinished" / ROLLOUTS.id).exists()


def test_windows_of_a_killed_pass_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = left_alone(tmp_path / "alone", TOP)
    left = killed(tmp_path / "killed", TOP, Note, "write", 2)
    done = Note.read(left / "signals" / "written.json").entries
    assert 0 < done < 1_000
    for array in (left / "signals").glob("*.bin"):  # part of a window, as a kill may leave it
        with array.open("ab") as torn:
            torn.write(b"torn")

    computed = []
    compute = stored._of_window

    def counted(*given: Any) -> Any:
        computed.append(next(one for one in given if isinstance(one, range)))
        return compute(*given)

    monkeypatch.setattr(stored, "_of_window", counted)
    again = Store(tmp_path / "killed").make(TOP)
    assert [(w.start, w.stop) for w in computed] == [
        (first, min(first + stored.WINDOW, 1_000)) for first in range(done, 1_000, stored.WINDOW)
    ]
    assert_same(alone, again)
    assert not left.exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"), [("top.bin", flip), ("top.bin", Path.unlink), ("written.json", flip)]
)
def test_a_killed_pass_whose_arrays_were_damaged_is_told_and_computed_again(
    tmp_path: Path, name: str, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone = left_alone(tmp_path / "alone", TOP)
    left = killed(tmp_path / "killed", TOP, Note, "write", 2)
    damage(left / "signals" / name)

    again = Store(tmp_path / "killed").make(TOP)
    assert capsys.readouterr().err.endswith("/signals: differs from its checksums\n")
    told = Store(tmp_path / "killed").record(again)["recomputed"]
    assert told == {"damage": "unfinished signals: differs from its checksums", "same_bytes": True}
    assert_same(alone, again)


def test_a_line_of_an_earlier_version_is_read_and_written_alike() -> None:
    """Replies are paid for: the bytes of their checksums stay what they are, in the order of the keys."""
    row = {"key": "b", "a": "é"}
    line = '{"key": "b", "a": "\\u00e9", "checksum": "b95c4879870ca78415952a55af3a07b7"}'
    assert append_log.line_of(row) == line and append_log.row_of(line.encode()) == row
    with pytest.raises(ValueError, match="differs from its checksum"):
        append_log.row_of(line.replace('"b"', '"c"').encode())


def test_short_work_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(os, "fsync", waited.append)
    monkeypatch.setattr("harness.store.store._to_disk", lambda folder: None)  # only publication waits
    monkeypatch.setattr(append_log, "FLUSH_SECONDS", 1e9)
    left_alone(tmp_path, ROLLOUTS)
    left_alone(tmp_path, TOP)

    assert not waited


def test_rows_are_read_back_from_every_file_and_torn_lines_are_counted(tmp_path: Path) -> None:
    one, two = AppendOnlyLog(tmp_path / "new"), AppendOnlyLog(tmp_path / "new")
    one.add({"a": 1}, {"b": [2]})
    two.add({"c": "three"})
    for lines in (one, two):
        lines.close()
    (tmp_path / "new" / "x.jsonl").write_bytes(b'{"a": 1}')
    rows, torn = AppendOnlyLog(tmp_path / "new").read()

    assert sorted(map(str, rows)) == ["{'a': 1}", "{'b': [2]}", "{'c': 'three'}"] and torn == 1
    nothing = AppendOnlyLog(None)
    nothing.add({"a": 1})
    assert nothing.read() == ([], 0)
