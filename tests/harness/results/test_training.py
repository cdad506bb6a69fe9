"""What a training logged, as curves for the page."""

import json
from pathlib import Path

from harness.results.training import of_log, thinned


def test_a_long_log_is_thinned_evenly_and_keeps_its_ends() -> None:
    lines = [{"step": n} for n in range(1, 1001)]
    kept = [line["step"] for line in thinned(lines, 200)]
    assert len(kept) == 168 and kept[:3] == [1, 7, 13] and kept[-1] == 1000
    assert thinned(lines[:200], 200) == lines[:200]
    assert thinned(lines[:1], 200) == lines[:1]


def test_each_quantity_of_a_log_is_a_curve_of_its_kind(tmp_path: Path) -> None:
    """The learning rate is none; what is no number is None, and what only some lines have has those."""
    lines = [
        {"step": 10, "lr": 1e-3, "grad_norm": 2.0, "dpo": 0.69, "margin": 1.5, "chosen.teacher_kl": 0.1},
        {"step": 20, "lr": 0.0, "grad_norm": float("inf"), "dpo": 0.5, "margin": 2.5},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(of_log(tmp_path)) == []  # of a training that is not done
    (tmp_path / "training.json").write_text(json.dumps({"before": {"dpo": 0.69}}))
    assert [tuple(told.values()) for told in of_log(tmp_path)] == [
        ("gradient", "grad_norm", (10, 20), (2.0, None), 2),
        ("term", "dpo", (10, 20), (0.69, 0.5), 2),
        ("margin", "margin", (10, 20), (1.5, 2.5), 2),
        ("mean", "chosen.teacher_kl", (10,), (0.1,), 1),
    ]
