"""A full disk is told as one, whatever library found it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from harness.common.files import full_disk_told
from tests.reliability.full_disk import small_disk

KIB = 64  # of the disk


def weights(file: Path) -> None:
    save_file({"w": torch.zeros(KIB << 10)}, file)


def tokenizer(file: Path) -> None:
    words = {f"word {n}": n for n in range(KIB << 8)}
    Tokenizer(WordLevel(words, unk_token="word 0")).save(str(file))


def text(file: Path) -> None:
    file.write_text("x" * (KIB << 11))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
@pytest.mark.parametrize("write", [weights, tokenizer, text])
def test_a_full_disk_is_told_whoever_wrote(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with small_disk(tmp_path / "disk", KIB), pytest.raises(OSError) as found, full_disk_told():
        write(tmp_path / "disk" / "file")
    assert found.value.errno == errno.ENOSPC


def test_another_fault_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="no room for this"), full_disk_told():
        raise RuntimeError("no room for this")
