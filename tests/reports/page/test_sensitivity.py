"""Figures of the trials that a run's settings were chosen from."""

from pathlib import Path

import pytest

from reports.page import page, tuning_trials
from reports.page.figures import sensitivity
from reports.page.tuning_trials import Trial
from reports.records import run_folder
from tests.paths import ROOT
from tests.reports.page import page_run

TABLE = """method,lr,setting,value,my-bench_score,n,truncated,best,seeds,lost,status
SFT,0.001,,,3.5,400,0,yes,0,0,ok
SFT,0.01,,,1.5,400,0,,0,0,ok
ADPA,0.001,gamma beta,0.1 on,4.0,400,0,,0,0,ok
ADPA,0.01,gamma beta,0.3 on,4.5,400,0,yes,0,0,ok
ADPA,0.1,gamma beta,0.3 off,2.0,400,0,,0,0,ok
ADPA,1,gamma beta,0.1 off,,0,0,,0,0,failed: it exploded
DPO,0.001,,,3.0,400,0,yes,0,0,ok
"""


@pytest.fixture
def tuning(tmp_path: Path) -> tuning_trials.Tuning:
    (tmp_path / "tuning.csv").write_text(TABLE)
    return tuning_trials.read(tmp_path)


def test_methods_stand_by_their_best_trial_with_the_median_and_the_worst(tuning) -> None:
    assert tuning.score == "my-bench_score"
    own = {m: [t for t in tuning.trials if t.method == m and t.score] for m in ("SFT", "ADPA")}
    first, second = sensitivity.ranges(own)
    assert (first["method"], first["worst"], first["median"], first["best"]) == ("ADPA", 2.0, 4.0, 4.5)
    assert first["label"] == "ADPA: worst 2, median 4, best 4.5 (lr 0.01, gamma 0.3, beta on) of 3 trials"
    assert (second["method"], second["median"]) == ("SFT", 2.5)


def test_a_setting_has_its_trials_scores_and_the_best_at_each_value(tuning) -> None:
    """0.1 has 4.0 alone; 0.3 has 4.5, which was chosen, and 2.0. Words are no numbers."""
    own = [t for t in tuning.trials if t.method == "ADPA" and t.score is not None]
    rows = sensitivity.over("ADPA", "gamma", own)
    assert [(r["at"], r["score"], r["top"], r["chosen"]) for r in rows] == [
        (0.1, 4.0, True, False), (0.3, 4.5, True, True), (0.3, 2.0, False, False)
    ]  # fmt: skip
    assert rows[0]["label"] == "ADPA: 4 at lr 0.001, gamma 0.1, beta on"
    assert [r["at"] for r in sensitivity.over("ADPA", "beta", own)] == ["on", "on", "off"]


def test_a_page_has_a_figure_of_all_methods_and_one_a_setting_and_counts_what_is_left_out(tuning) -> None:
    drawn = [figure.title for figure in sensitivity.figures(tuning, ["SFT", "ADPA", "PAD"])]
    assert drawn == [
        "Trials of each method, my-bench_score",
        "SFT over lr",
        "ADPA over lr",
        "ADPA over gamma",
        "ADPA over beta",
    ]
    assert sensitivity.notes(tuning, ["SFT", "ADPA", "PAD"]) == [
        "5 of 6 trials have a score",
        "1 trials are of methods that this run has not",
        "not tuned: PAD",
    ]


def test_the_trials_that_lie_in_a_run_s_folder_are_on_its_page(tmp_path: Path) -> None:
    run_folder.write(page_run.rows(), tmp_path)
    for name in ("texts.jsonl", "steps.jsonl"):
        (tmp_path / name).write_text("")
    assert "Sensitivity to settings" not in page.write(tmp_path).read_text()
    (tmp_path / "tuning.csv").write_text(TABLE)
    assert "Sensitivity to settings" in page.write(tmp_path).read_text()


def test_the_trials_that_ship_can_be_read(tmp_path: Path) -> None:
    """They are of before seeds and lost verdicts were told, and have three columns fewer."""
    (tmp_path / "tuning.csv").write_text((ROOT / "harness/presets/pocket.tuning.csv").read_text())
    found = tuning_trials.read(tmp_path)
    assert len(found.trials) == 224 and found.score == "rule_score"
    assert Trial("DPO", {"lr": "3e-05", "beta": "0.1"}, 3.3825, True) in found.trials


@pytest.mark.parametrize(
    "given, kept, told",
    [
        ("method,lr,setting,value,my-bench_score", "lr,method", "1: not trials: begins 'lr,method"),
        ("SFT,0.01,,,1.5,400", "SFT,0.01,,,many,400", "3: not a trial: score 'many' is no number"),
        ("SFT,0.01,,,1.5,400,0,,0,0,ok", "SFT,0.01,,,1.5", "3: not a trial: 5 cells under 11 columns"),
        ("0.1 on,4.0", "0.1,4.0", "4: not a trial: settings 'gamma beta' with values '0.1'"),
    ],
)
def test_a_line_that_is_no_trial_is_named(tmp_path: Path, given: str, kept: str, told: str) -> None:
    (tmp_path / "tuning.csv").write_text(TABLE.replace(given, kept, 1))
    with pytest.raises(ValueError, match=f"tuning.csv:{told}"):
        tuning_trials.read(tmp_path)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"", b"method,lr\n" + b"x" * 200_000, b"a\0b\n"])
def test_a_file_of_something_else_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tuning.csv").write_bytes(data)
    with pytest.raises(ValueError, match=r"tuning\.csv:.* not trials: "):
        tuning_trials.read(tmp_path)
