"""One reader of everybody's JSON: what it refuses, in one line with the place, and what it takes."""

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from benchmarks import file_bytes
from benchmarks.json_files import json_of, rows

ROW = '{"a": "b"}'


def read(path: Path) -> list[dict[str, object]]:
    return [row for _, row in rows(path)]


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read(path)
    told = str(caught.value)
    assert told.startswith(f"{path}") and "\n" not in told
    return told.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("null", ", line 1: not JSON lines, no JSON object: given null"),
        (f"{ROW}\n3", ", line 2: not JSON lines, no JSON object: given 3"),
        (f"[{ROW}, [1]]", ", row 2: not JSON lines, no JSON object: given [1]"),
        ("[" * 100_000, ", line 1: nested more than 100 deep"),
        ('{"a": ' * 101 + "1" + "}" * 101, ", line 1: nested more than 100 deep"),
        (f"{ROW}\n" + '{"a": ' + "9" * 5000 + "}", ", line 2: a whole number of over 4,300 digits"),
        ('{"a": 1, "a": 2}', ", line 1: the key 'a' stands twice in one object"),
        (f'{ROW}\n\n{{"a": ["\\ud800"]}}', ", line 3: a: \\ud800 is half of a character; write both halves"),
        (f"{ROW}{ROW}", ", line 1: not JSON: Extra data (column 11): " + ROW),
        (f'{ROW}\n{{"a": "', ", line 2: not JSON: Unterminated string starting at (column 7)"),
        (f"[{ROW},\n {ROW}\n", ", line 3: not JSON: Expecting ',' delimiter (column 1)"),
        (
            '{\n "a": 1,\n}',
            ", line 3: not JSON: Expecting property name enclosed in double quotes (column 1)",
        ),
    ],
)
def test_what_is_no_row_is_told_with_its_place(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert refused(path) == told


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_told(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(ROW, encoding=encoding)
    assert refused(path) == ", line 1: not UTF-8 at byte 1; save it as UTF-8"


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (f"\ufeff{ROW}\r\n\r\n{ROW}", 2),
        (f"\ufeff [{ROW},\n {ROW}]", 2),
        (f"\n\n  {ROW}  \n", 1),
        ('{\n  "a": [\n    "b"\n  ]\n}\n{\n  "a": 1\n}\n', 2),
        ('{"a": "\\ud83c\\udf75 \u2028"}', 1),
        ('{"a": ' * 100 + "1" + "}" * 100, 1),
        (f'{{"a": {"[1]," * 200}1}}'.replace('": [', '": [[').replace("1}", "1]}"), 1),
        ("", 0),
        ("[]", 0),
    ],
)
def test_every_way_to_write_rows_is_read_packed_or_not(content: str, count: int, tmp_path: Path) -> None:
    for name, raw in (("a.json", content.encode()), ("a.jsonl.gz", gzip.compress(content.encode()))):
        (tmp_path / name).write_bytes(raw)
        assert len(read(tmp_path / name)) == count


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert refused(tmp_path / "pipe") == ": a pipe, where a file is expected"
    assert refused(Path("/dev/zero")) == ": a device, where a file is expected"
    assert refused(tmp_path) == ": a folder, where a file is expected"
    assert refused(tmp_path / "circle") == ": Too many levels of symbolic links"
    with pytest.raises(ValueError, match=r"no file .*gone"):
        read(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"xxx: File name too long"):
        read(tmp_path / ("x" * 300))


def test_a_damaged_archive_and_a_line_without_an_end_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(f"{ROW}\n".encode() * 1000, mtime=0)
    path = tmp_path / "rows.jsonl.gz"
    for damaged in (packed[:-9], packed[:5], packed[:-6] + b"?" + packed[-5:], ROW.encode()):
        path.write_bytes(damaged)
        assert refused(path).startswith(": cannot be unpacked: ")
    monkeypatch.setattr(file_bytes, "LONGEST", 1 << 20)
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * (1 << 20)))
    assert refused(path) == ", line 1: over 1 MB; a row has as much at most"
    path.write_bytes(gzip.compress(b'[{"a": "' + b"x" * (1 << 20) + b'"}]'))
    assert len(read(path)) == 1  # one value may be longer than a line
    monkeypatch.setattr(file_bytes, "LARGEST", 1 << 20)
    with pytest.raises(ValueError, match="in one value; save it as JSON lines"):
        json_of(path)


def test_a_list_of_many_rows_is_read_in_the_time_of_its_text(tmp_path: Path) -> None:
    """Not of its text for each row: 20,000 of them would be 40 GB."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"a": "x" * 100}] * 20_000))
    began = time.process_time()
    assert len(read(path)) == 20_000
    several = tmp_path / "several.json"
    several.write_text('{\n "a": "x"\n}\n' * 20_000)
    assert len(read(several)) == 20_000
    assert time.process_time() - began < 5
