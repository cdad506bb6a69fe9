"""The real-text suite runs whole on real conversations, with tiny models in place of SmolLM2."""

from pathlib import Path

import pytest

from tests.bench_command import bench
from tests.harness.models.tiny_models import tiny_folder


@pytest.mark.slow
def test_the_real_text_suite_runs_on_real_conversations(shared_data: Path, tmp_path: Path) -> None:
    preference = shared_data / "preference"
    hh = preference / "hh_rlhf_harmless_base_test.jsonl.gz"
    teacher, student = tiny_folder(tmp_path / "teacher", seed=1), tiny_folder(tmp_path / "student", seed=2)
    changes = {
        "pairs.smollm2.teacher.base": teacher,
        "pairs.smollm2.student.base": student,
        "datasets.hh.sft.path": preference / "llamafactory_alpaca_en_demo.json.gz",
        "datasets.hh.preference.path": hh,
        "datasets.hh.validation.path": hh,
        "benchmarks.openllm.data": shared_data / "openllm",
        "benchmarks.openllm.limit": 10,
        "generation.max_tokens": 16,
        "max_length": 128,
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    done = bench(
        *("run", "real-text", "--name", "real-text", "--runs", str(tmp_path / "runs")),
        *(*sets, "--only", "DPO", "--only", "ADPA+"),
    )

    assert done.returncode == 0, done.stderr
    table = (tmp_path / "runs" / "real-text" / "tables" / "main.md").read_text()
    for column in ("Reward accuracy", "Teacher reward", "Length", "Truncated", "ARC-Challenge"):
        assert column in table
    assert "| ADPA+" in table
