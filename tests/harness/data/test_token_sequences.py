"""Sequences and flat arrays on disk."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest

from harness.data.token_sequences import Sequence, Sequences, batches_of, response, write
from harness.store.array_file import ArrayFile, ArrayFileWriter


def test_sequences_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [response(4, [1, 2], [3]), Sequence(7, [5, 6, 7, 8], [False, True, False, True])]
    counts = write(tmp_path, rows)
    found = Sequences(tmp_path)

    assert [found[i] for i in range(len(found))] == rows
    assert counts == {"sequences": 2, "tokens": 7, "response_tokens": 3}
    assert found.response_lengths.tolist() == [1, 2]
    assert found.response_offsets.tolist() == [0, 1, 3]
    assert found.prompt(0) == [1, 2]


def test_a_first_token_cannot_be_predicted(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        write(tmp_path, [Sequence(0, [1, 2], [True, True])])


@pytest.mark.parametrize("width", [0, 3])
def test_slices_of_a_flat_array_are_what_was_appended(tmp_path: Path, width: int) -> None:
    whole = np.arange(30, dtype=np.float32).reshape(-1, width) if width else np.arange(30, dtype=np.float32)
    with ArrayFileWriter(tmp_path, "x", "float32", width) as out:
        for part in np.array_split(whole, 4):
            out.append(part)
    found = ArrayFile(tmp_path, "x")

    assert len(found) == len(whole)
    np.testing.assert_array_equal(found.rows(2, 7), whole[2:7])
    np.testing.assert_array_equal(found.all(), whole)


def in_memory(path: Path) -> int:
    """How many pages of a file the system holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        held = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(held)), ctypes.c_size_t(len(mapped)), pages)
        del held
    assert not failed
    return sum(page & 1 for page in pages)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system cannot be asked")
def test_rows_asked_for_ahead_come_into_memory_without_being_read(tmp_path: Path) -> None:
    with ArrayFileWriter(tmp_path, "x", "float32", 256) as out:
        out.append(np.zeros((4096, 256), np.float32))
        out.to_disk()
    found = ArrayFile(tmp_path, "x")
    os.posix_fadvise(found.file, 0, 0, os.POSIX_FADV_DONTNEED)
    if (before := in_memory(tmp_path / "x.bin")) > 100:
        pytest.skip("this file system does not let go of a file")

    found.prefetch(1024, 2048)

    until = time.monotonic() + 60
    while in_memory(tmp_path / "x.bin") < before + 256 and time.monotonic() < until:
        time.sleep(0.01)
    assert in_memory(tmp_path / "x.bin") >= before + 256  # 1 MiB in pages of 4 KiB


def test_batches_hold_everything_once_and_keep_to_the_budget() -> None:
    lengths = np.array([3, 9, 4, 30, 1])
    batches = batches_of([4, 0, 2, 1, 3], lengths, 12)

    assert [i for b in batches for i in b] == [4, 0, 2, 1, 3]
    assert all(len(b) == 1 or len(b) * max(lengths[b]) <= 12 for b in batches)
    assert batches == [[4, 0, 2], [1], [3]]
