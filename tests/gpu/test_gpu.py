"""The GPU check: every part that a CPU can do runs, none stops the others, and the budget is kept."""

import json
import time
from pathlib import Path

import pytest

from tests.gpu import __main__ as command
from tests.gpu import page, supervisor, wheels
from tests.gpu.check import LINES, Line
from tests.gpu.measure import covered
from tests.gpu.order import PARTS
from tests.gpu.parts.table import compared
from tests.paths import ROOT

OF_A_GPU = {"out-of-memory", "syncs", "compiled", "vllm", "vllm-served", "trl"}  # or of what is not installed


def own(*names: str) -> dict[str, str]:
    return {name: f"tests.gpu.fakes:{name}" for name in names}


def test_every_part_that_a_cpu_can_do_runs_in_small(tmp_path: Path) -> None:
    lines = supervisor.run(PARTS, tmp_path, tmp_path, budget=600, small=True)
    assert [line for line in lines if "error" in line or "left_out" in line] == []
    ended = {line["part"] for line in lines if "seconds" in line}
    assert ended | {line["part"] for line in lines if "absent" in line} == PARTS.keys()
    assert PARTS.keys() - ended <= OF_A_GPU
    assert all(line["ok"] for line in lines if "ok" in line)
    assert [json.loads(text) for text in (tmp_path / LINES).read_text().splitlines()] == lines
    assert page.section(lines) == page.NOT_MEASURED


def test_a_part_that_raises_or_dies_or_cannot_be_imported_stops_no_other(tmp_path: Path) -> None:
    parts = own("raises", "dies", "absent") | {"nowhere": "tests.gpu.nowhere:part"} | own("sound")
    lines = supervisor.run(parts, tmp_path, tmp_path, budget=600, small=True)
    told = {line["part"]: line for line in lines}  # the last of each
    assert told["raises"]["error"] == "RuntimeError: no kernel for this"
    assert any("raise RuntimeError" in line for line in told["raises"]["where"])
    assert told["dies"]["error"] == "its process ended: exit code 7"
    assert told["absent"]["absent"] == "not here"
    assert "No module named 'tests.gpu.nowhere'" in told["nowhere"]["error"]
    assert "seconds" in told["sound"]
    assert [line["found"] for line in lines if "found" in line] == [2, 3, 1]


def test_what_does_not_fit_the_budget_is_told_and_what_hangs_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    lines = supervisor.run(own("hangs", "sound"), tmp_path, tmp_path, budget=4, small=True, grace=0.5)
    assert time.monotonic() - began < 60
    assert [line["part"] for line in lines] == ["hangs", "hangs", "sound"]
    assert lines[1]["error"] == "its process ended: not over 0.5 s after the budget's end"
    assert lines[2]["left_out"] == "the budget of 4 s is spent"


def test_a_process_that_no_part_begins_in_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    lines = supervisor.run(own("sound", "raises"), tmp_path, tmp_path, budget=20, small=True)
    assert [line["error"] for line in lines] == ["its process ended: exit code 1"] * 2


def test_an_unknown_part_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["tests.gpu", "--out", str(tmp_path / "out"), "--parts", "train-dpk"])
    with pytest.raises(SystemExit) as e:
        command.main()
    assert e.value.code == 2 and not (tmp_path / "out").exists()
    assert "--parts train-dpk: did you mean 'train-dpo'?" in capsys.readouterr().err


def test_overlapping_kernels_are_busy_once() -> None:
    """1 to 4 and 3 to 6 cover 5, and 8 to 9 one more."""
    assert covered([(3, 6), (1, 4), (2, 3), (8, 9)]) == 6
    assert covered([]) == 0


def test_rows_on_both_sides_are_compared_question_by_question() -> None:
    cpu = {"DPO | rule | a": 1.0, "DPO | rule | b": 0.0, "SFT | rule | a": 1.0}
    lines = list(compared(cpu | {"DPO | rule | b": 1.0}, cpu))
    assert lines[0] == {"row": "DPO", "benchmark": "rule", "found": 1.0, "cpu": 0.5, "same": 1, "of": 2}
    assert lines[1]["same"] == lines[1]["of"] == 1
    with pytest.raises(ValueError, match=r"other questions: .*SFT"):
        list(compared({"DPO | rule | a": 1.0, "DPO | rule | b": 0.0}, cpu))


MACHINE = {
    "part": "versions",
    "gpu": {"name": "Some GPU", "as": "h200", "flops": 989e12},
    "cuda": "13.0",
    "packages": {"torch": "2.11.0", "trl": "-"},
}


def step(name: str, side: str, step_s: float) -> Line:
    part = "live-teachers" if side == "live" else f"train-{name.lower()}"
    rates = {"tokens_s": 24000 / step_s, "of_peak": 0.47, "of_peak_with_teachers": 0.5, "idle": 0.08}
    return {"part": part, "name": name, "side": side, "step_s": step_s, **rates, "peak_gb": 61.25}


def test_the_page_has_what_was_found_and_why_the_rest_was_not() -> None:
    """ADPA with live teachers takes 3 s where stored signals take 0.5: 6 times."""
    lines = [
        MACHINE,
        {"part": "versions", "seconds": 1.0},
        {"part": "train-dpo", "error": "OutOfMemoryError: too much"},
        {"part": "trl", "absent": "trl cannot be imported"},
        step("DPO", "auto", 0.4),
        {"part": "train-dpo", "seconds": 9.0},
        step("ADPA", "auto", 0.5),
        {"part": "train-adpa", "seconds": 9.0},
        step("ADPA", "live", 3.0),
        {"part": "live-teachers", "seconds": 9.0},
    ]
    text = page.section(lines)
    assert (
        "Some GPU, held against 989 TFLOP/s, the peak of h200 in bfloat16; CUDA 13.0, torch 2.11.0.\n" in text
    )
    assert "| DPO | ours | 0.400 | 60000 | 47% | 50% | 8% | 61.2 |" in text
    assert "| ADPA's step with live teachers / from stored signals | >= 5 | 6.00 |" in text
    assert (
        "| DPO's step, of the peak | >= 45% | 47% |" in text
        and "DCKD's step, of the peak | >= 45% | - |" in text
    )
    assert "- trl: trl cannot be imported\n" in text and "- twice: not asked for\n" in text
    assert "train-dpo" not in text  # its second run went well


def test_the_page_keeps_what_stands_around_the_check(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"before\n{page.BEGIN}old\n{page.END}after\n")
    (tmp_path / LINES).write_text(json.dumps(MACHINE) + "\n")
    page.write(tmp_path / LINES, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith(f"before\n{page.BEGIN}Some GPU") and text.endswith(f"{page.END}after\n")
    assert page.kept(text) == page.section([MACHINE])
    with pytest.raises(ValueError, match="once each"):
        page.replaced("no marks", "")


def test_the_page_says_not_measured_with_the_command_or_has_a_card() -> None:
    kept = page.kept((ROOT / page.PAGE).read_text())
    assert kept == page.NOT_MEASURED or "held against" in kept


def test_every_wheel_has_a_version() -> None:
    found = wheels.pins((ROOT / "constraints.txt").read_text(), wheels.NAMES)
    assert len(found) == len(set(found)) == len(wheels.NAMES) and all("==" in pin for pin in found)
    with pytest.raises(ValueError, match="no version of torchh"):
        wheels.pins("torch==2.13.0\n", ("torch", "torchh"))
