"""The measurements of tests/perf: what is planned, how it is read, and that our side really trains."""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from tests import suites
from tests.paths import TINY as TINY_SUITE
from tests.perf import ours, page, sharing, world
from tests.perf.__main__ import kept, main, planned
from tests.perf.breakdown import kinds
from tests.perf.scales import CPU, GPU, SCALES
from tests.perf.workloads import WORKLOADS

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
}
TINY = replace(
    GPU, student=SMALL, teacher=SMALL, steps=2, prompt=(8, 8), total=(12, 16), batch=3, device="cpu"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("world")
    assert all(seconds > 0 for seconds in world.make(at, 300, TINY).values())
    return at


def trained(side: str, repeat: int, seconds: list[float], losses: list[float]) -> dict[str, Any]:
    told = {"what": "train", "name": "SFT", "vocab": 32_000, "side": side, "repeat": repeat}
    return told | {"seconds": seconds, "cpu": [9, 8, 8], "losses": losses, "peak": 2**30}


def written(root: Path, measured: list[dict[str, Any]]) -> Path:
    (root / "train.json").write_text(json.dumps({"measured": measured}))
    return root


def test_the_first_step_is_no_time_and_the_best_repeat_is_read(tmp_path: Path) -> None:
    """TRL (2 + 4) / 2 = 3 and 5, ours 1 and 1.5: 3 times as fast, the median of 3 and 5 is 4."""
    at = written(
        tmp_path,
        [
            trained("trl", 0, [99, 2, 4], [1.0, 0.9, 0.8]),
            trained("trl", 1, [99, 5, 5], [1.0, 0.9, 0.8]),
            trained("auto", 0, [99, 1, 1], [1.0, 0.9, 0.80001]),
            trained("auto", 1, [99, 1.5, 1.5], [1.0, 0.9, 0.8]),
        ],
    )
    text = page.text(at)
    assert "| SFT | TRL | 3.000 | 4.000 | 8.00 | 2 | 3.00 | >= 2.5 |" in text
    assert "| SFT | ours | 1.000 | 1.250 | 8.00 | 2 | 1.00 | - |" in text
    assert page.losses_agree(at)
    assert text.count("Not measured.") == 9


def test_the_head_s_own_matrices_are_no_growth(tmp_path: Path) -> None:
    """96,256 more words, 256 wide, four times in float32: 0.37 GiB of the 0.42 by which the peak grew."""
    small = trained("recompute", 0, [99, 1, 1], [1.0, 0.9, 0.8])
    large = small | {"vocab": 128_256, "peak": 2**30 + 96_256 * 256 * 4 * 4 + 2**30 // 20}
    assert "| SFT | 1.00 | 1.42 | 0.37 | 0.05 | 5.0% |" in page.text(written(tmp_path, [small, large]))


def test_a_loss_that_is_not_trls_is_seen(tmp_path: Path) -> None:
    theirs = trained("trl", 0, [1, 1, 1], [1.0, 0.9, 0.8])
    assert not page.losses_agree(
        written(tmp_path, [theirs, trained("auto", 0, [1, 1, 1], [1.0, 0.9, 0.8002])])
    )
    assert not page.losses_agree(
        written(tmp_path, [theirs, trained("auto", 0, [1, 1, 1], [1, 0.9, float("nan")])])
    )


@pytest.mark.parametrize("on", SCALES)
def test_both_sides_of_a_workload_are_measured_before_the_next_workload(on: str) -> None:
    asked = list(planned("train", on, [32_000], list(SCALES[on].workloads), repeats=2, seed=0))
    names = [a["name"] for a in asked]
    assert tuple(n for i, n in enumerate(names) if n not in names[:i]) == SCALES[on].workloads
    assert names == sorted(names, key=SCALES[on].workloads.index)
    for name in SCALES[on].workloads:
        sides = [a["side"] for a in asked if a["name"] == name and not a.get("profiled")]
        theirs = WORKLOADS[name].variants if find_spec("trl") else ()
        assert sorted(sides) == sorted(["limit"] * (on == "cpu") * 2 + [*theirs, *SCALES[on].ours] * 2)


@pytest.mark.parametrize("name", GPU.workloads)
def test_what_a_gpu_is_asked_for_trains_here_in_small(name: str, tiny: Path) -> None:
    """bfloat16 autocast, the teacher's hidden states in bfloat16, DCKD's on both answers."""
    found = ours.run(tiny, TINY, name, "auto")
    assert len(found["seconds"]) == len(set(found["losses"])) == TINY.steps
    assert all(map(math.isfinite, found["losses"]))


def test_a_steps_operations_are_six_a_weight_and_token(tiny: Path) -> None:
    """Two layers of 32 x (32 + 16 + 16 + 32) + 3 x 32 x 64 weights and two norms, and a last norm."""
    body = 2 * (32 * 96 + 3 * 32 * 64 + 2 * 32) + 32
    n = world.counts(tiny, TINY, 2)
    assert n["once"] - n["answers"] == TINY.batch * 8
    assert world.flops(tiny, TINY, 2, 300) == 6 * (body * n["once"] + 300 * 32 * n["answers"])


def test_a_gpus_rate_is_a_share_of_its_peak(tmp_path: Path) -> None:
    """500 FLOP and 40 tokens in half a second, where 2,000 FLOP/s are the peak."""
    gpu = {"name": "Some GPU", "as": "h200", "flops": 2000.0}
    told = trained("auto", 0, [99, 0.5, 0.5], [1.0, 0.9, 0.8])
    told |= {"name": "DCKD", "tokens": 40, "flops": 500, "gpu": gpu}
    (tmp_path / "gpu").mkdir()
    kept(tmp_path / "gpu" / "train.json", {}, told | {"versions": {"torch": "2"}})
    text = page.text(tmp_path)
    assert "Some GPU, against the peak of h200, 0 TFLOP/s; torch 2." in text
    assert "| 32,000 | DCKD | ours | 0.500 | 0.500 | 1 | 1.00 | 80 | 50% | 1.0 | - |" in text


def test_a_step_is_divided_by_the_kinds_of_its_operations(tmp_path: Path) -> None:
    """Of 10 seconds 6 are products, 1 attention, 2 exponentials and none AdamW's."""
    seconds = {"aten::mm": 4.0, "aten::addmm_": 2.0, "aten::exp_": 1.5, "aten::amax": 0.5, "aten::mul": 1.0}
    shares = kinds(seconds | {"aten::_scaled_dot_product_flash_attention_for_cpu": 1.0})
    assert list(shares.values()) == pytest.approx([0.6, 0.1, 0.2, 0, 0.1])
    told = {"profiled": True, "profile": {"head": 0.7, "kinds": shares, "operations": [["aten::mm", 9, 0.4]]}}
    text = page.text(written(tmp_path, [trained("auto", 3, [1, 1, 1], [1.0, 0.9, 0.8]) | told]))
    assert "| SFT | 32,000 | 70% | 60% | 10% | 20% | 0% | 10% |" in text
    assert "| `aten::mm` | 9 | 40.0% |" in text


def test_what_jobs_take_stands_beside_the_goal(tmp_path: Path) -> None:
    simulated = {"1": 390.0, "2": 195.0, "4": 110.0, "8": 90.0}
    measured = {"seeds": "[0]", "empty": 200.0, "again": 2.1, "simulated": simulated}
    starts = {"empty": {"together": 50, "SFT": 60, "DPO": 90}}
    starts["teachers"] = {"together": 30, "SFT": 20, "DPO": 25}
    one = {"jobs": 1, "empty": 400.0, "shared": starts}
    told = {"measured": [measured | one, measured | {"jobs": 2}]}
    (tmp_path / "jobs.json").write_text(json.dumps(told))
    text = page.text(tmp_path)
    assert "| `[0]` | 1 | 400 | - | 2.1 | 390 | 195 | 110 | 90 |" in text
    assert "| `[0]` | 2 | 200 | <= 220 | 2.1 | 390 | 195 | 110 | 90 |" in text
    assert "| an empty store | 2 | 150 | 50 | 3.00 | >= 3 |" in text
    assert "| the teachers' checkpoints | 2 | 45 | 30 | 1.50 | >= 1.3 |" in text


def test_what_methods_share_is_counted_once_in_one_run() -> None:
    """At a second a step: all steps of the run, and of each method what a run of it alone would do."""
    suite = suites.load(TINY_SUITE, ["seeds=[0]"])
    steps = {s.id: 1.0 for s in planning.plan(suite, methods.registry(), Machine()).steps}
    told = sharing.measured(suite, steps)
    assert told["empty"]["together"] == len(steps)
    alone = [told["empty"][name] for name in suite.methods]
    assert all(0 < n < len(steps) for n in alone) and sum(alone) > len(steps)
    assert all(told["teachers"][name] < told["empty"][name] for name in suite.methods)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_scale_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tests.perf", "--scale", "gpu"])
    with pytest.raises(SystemExit) as e:
        main()
    assert e.value.code == 2 and "--scale gpu: torch finds no GPU here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DPO", "KD"])
def test_our_side_trains_the_same_whatever_is_kept(name: str, tmp_path: Path) -> None:
    made = world.make(tmp_path, 300, CPU)
    kept, computed = (ours.run(tmp_path, CPU, name, head, profiled=True) for head in ("keep", "recompute"))
    assert kept["losses"] == computed["losses"] and len(set(kept["losses"])) == CPU.steps
    assert 0 < kept["profile"]["head"] < 1
    assert sum(kept["profile"]["kinds"].values()) == pytest.approx(1)
    assert made["ref"] > 0 and made["teacher"] > 0
