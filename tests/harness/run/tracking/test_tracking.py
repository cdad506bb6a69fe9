"""What trackers hold after a run, read back, is what metrics.jsonl and the main table hold."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.run.tracking import telling
from harness.run.tracking.notes import FOLDER, RunNotes, Told, fault_file
from harness.run.tracking.telling import TELLER
from harness.suite.parts.tracking import TRACKERS
from reports import build
from reports.records import run_folder
from tests.bench_command import ENV, bench
from tests.harness.run.tracking.tracker_files import READERS, offline
from tests.paths import ROOT, TINY
from tests.reports.page import page_run

NUMBER = "0123456789ab"
METRICS = (
    {"step": 10, "lr": 0.5, "grad_norm": 2.0, "dpo": 0.625},
    {"step": 14, "lr": 0.25, "grad_norm": 1.0, "dpo": 0.375},
)
SUMMARY = {"before": {"dpo": 0.75}, "after": {"dpo": 0.25}, "watched": {"kl": [0.0, 0.125]}, "steps": 14}
RECORD = {
    "label": "ADPA+",
    "settings": {"seed": 1, "hp": {"beta": 0.5, "views": ["a"]}},
    "measured": {"n": 3},
}
ABSENT = [name for name in TRACKERS if importlib.util.find_spec(name) is None]


def present(name: str) -> None:
    if name in ABSENT:
        pytest.skip(f"{name} is not installed")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Notes on a run of a training that is done and one that is not, with results."""
    done = tmp_path / "store" / "train" / f"adpa+-{NUMBER}"
    done.mkdir(parents=True)
    (done / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    (done / "training.json").write_text(json.dumps(SUMMARY))
    (done / "RECORD.json").write_text(json.dumps(RECORD))
    run_folder.write(page_run.rows(), tmp_path / "toy")
    named = {NUMBER: "ADPA+-seed-1", "f" * 12: "SFT-seed-1"}
    return RunNotes("toy", str(tmp_path / "toy"), str(tmp_path / "store"), named).write()


def told(notes: Path, tracker: str) -> subprocess.CompletedProcess[str]:
    """The tracker's process, of a run that has ended."""
    env = {**ENV, **offline(notes.parent)}  # MLflow's artifacts lie where it is called
    command, over = [sys.executable, "-m", TELLER, str(notes), tracker], subprocess.DEVNULL
    where = notes.parent
    return subprocess.run(
        command, cwd=where, env=env, stdin=over, capture_output=True, text=True, timeout=200
    )


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_holds_the_numbers_of_metrics_and_of_the_main_table(notes: Path, tracker: str) -> None:
    present(tracker)
    done = told(notes, tracker)
    assert done.returncode == 0, done.stderr
    found = READERS[tracker](notes.parent, "toy")
    assert set(found) == {"ADPA+-seed-1", "results"}  # the training that is not done is told another time
    expected = {name: {row["step"]: row[name] for row in METRICS} for name in ("lr", "grad_norm", "dpo")}
    expected |= {"probe/dpo": {0: 0.75, 14: 0.25}, "probe/kl": {0: 0.0, 14: 0.125}}
    assert found["ADPA+-seed-1"] == expected
    main = build.build(run_folder.read(notes.parents[1]))["main"][0]
    scores = {
        f"data/{row.method}/{column.name}": cell.value
        for row in main.rows
        for column, cell in zip(main.columns, row.cells, strict=True)
        if cell.value is not None
    }
    held = {name: value for name, (value,) in ((n, by.values()) for n, by in found["results"].items())}
    assert scores and {name: held[name] for name in scores} == pytest.approx(scores, rel=1e-6)  # float32
    assert set(held) - set(scores) == {f"{n}/{end}" for n in scores for end in ("low", "high")}


def test_what_was_told_is_not_told_again(notes: Path) -> None:
    present("tensorboard")
    assert told(notes, "tensorboard").returncode == 0
    before = sorted((notes.parent / "tensorboard").rglob("*"))
    assert told(notes, "tensorboard").returncode == 0
    assert sorted((notes.parent / "tensorboard").rglob("*")) == before
    rows = page_run.rows(questions=4)
    run_folder.write(rows, notes.parents[1])
    assert told(notes, "tensorboard").returncode == 0
    assert list(Told.read(notes.parents[1], "tensorboard").results) == ["results", "results-2"]


def test_a_tracker_that_hangs_is_ended_after_the_run_and_says_so(notes: Path) -> None:
    code = (
        "import sys, threading, time; from pathlib import Path; from harness.run.tracking import teller;"
        "teller.HUNG = 0.5; one = teller._Teller(teller.RunNotes.read(Path(sys.argv[1])), 'wandb');"
        "threading.Thread(target=one.watch, daemon=True).start(); time.sleep(1500)"
    )
    over = subprocess.DEVNULL
    done = subprocess.run([sys.executable, "-c", code, str(notes)], env=ENV, stdin=over, timeout=1000)
    assert done.returncode == 1
    assert fault_file(notes.parents[1], "wandb").read_text() == "nothing more was told for 0 s"


def test_a_fault_while_the_run_goes_on_ends_the_process_in_order(notes: Path) -> None:
    (notes.parents[1].parent / "store" / "train" / f"adpa+-{NUMBER}" / "RECORD.json").write_text("{")
    process = telling._start(notes, "tensorboard", notes.parent / "tensorboard.log")
    assert process.wait(200) == 1  # its standard input is open
    process.communicate()
    assert fault_file(notes.parents[1], "tensorboard").read_text().startswith("JSONDecodeError: ")


def test_packages_of_the_folder_that_it_is_called_in_are_not_imported(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("reports", "harness", "accelerate"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ValueError('a decoy')")
    monkeypatch.chdir(tmp_path)
    process = telling._start(notes, "tensorboard", notes.parent / "tensorboard.log")
    process.communicate(timeout=200)
    assert (process.returncode != 0) == ("tensorboard" in ABSENT)
    assert "decoy" not in (notes.parent / "tensorboard.log").read_text()


@pytest.mark.slow
def test_without_a_network_a_tracker_is_given_up_and_its_fault_is_a_line(notes: Path) -> None:
    present("wandb")
    env = {**ENV, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": 40 * "a"}
    command, over = [sys.executable, "-m", TELLER, str(notes), "wandb"], subprocess.DEVNULL
    done = subprocess.run(
        command, cwd=notes.parent, env=env, stdin=over, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 1
    assert fault_file(notes.parents[1], "wandb").read_text().startswith("CommError: Timed out")


@pytest.mark.slow
def test_a_run_that_was_done_is_told_whole_and_a_tracker_that_fails_stops_nothing(copied: Path) -> None:
    present("tensorboard")
    words = ("run", TINY, "--runs", str(copied), "--track", "tensorboard")
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    assert "tensorboard: told of 10 trainings and 1 results" in done.stdout
    folder = copied / "tiny" / FOLDER
    found = READERS["tensorboard"](folder, "tiny")
    for number, name in json.loads((folder / "run.json").read_text())["trainings"].items():
        (metrics,) = (copied / "store" / "train").glob(f"*-{number}/metrics.jsonl")
        for row in map(json.loads, metrics.read_text().splitlines()):
            step = row.pop("step")
            assert {n: found[name][n][step] for n in row} == pytest.approx(row, rel=1e-6)

    (folder / "told-tensorboard.json").unlink()
    for path in sorted((folder / "tensorboard").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / "tensorboard").rmdir()
    (folder / "tensorboard").write_text("in the way")
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    (fault,) = re.findall(r"^tensorboard: not told all: .*$", done.stdout, re.M)
    assert "Error" in fault and "the same command tells the rest" in fault


def test_a_tracker_that_is_unknown_or_not_installed_is_one_line_before_any_work(tmp_path: Path) -> None:
    done = bench("run", TINY, "--runs", str(tmp_path), "--track", "tensorbord")
    assert done.returncode == 2
    assert done.stderr == "bench: --track: given 'tensorbord'; did you mean 'tensorboard'?\n"
    done = bench("run", TINY, "--runs", str(tmp_path), "--set", "track=[wandb,mlflo]")
    assert done.returncode == 2
    assert done.stderr.endswith("track: given 'mlflo'; did you mean 'mlflow'?\n")
    assert done.stderr.count("\n") == 1
    for name in ABSENT[:1]:
        done = bench("run", TINY, "--runs", str(tmp_path), "--track", name)
        assert done.returncode == 2
        assert done.stderr.startswith(f"bench: --track {name}: its package is not installed; pip install")
    assert not list(tmp_path.iterdir())


def test_who_is_told_is_no_part_of_a_step_and_no_setting_of_a_run() -> None:
    from harness.evaluate import registry
    from harness.executors.options import Machine
    from harness.plan import plan as planning
    from harness.run import earlier_rows, run_names
    from harness.suite import loading
    from methods import registry as methods

    known = registry.known()
    plain, tracked = (loading.load(TINY, given, known) for given in ([], ["track=wandb"]))
    assert tracked.track == ("wandb",)
    ids = [{s.id for s in planning.plan(s, methods(()), Machine()).steps} for s in (plain, tracked)]
    assert ids[0] == ids[1]
    assert earlier_rows.measured_by(plain) == earlier_rows.measured_by(tracked)
    assert run_names.changed(tracked, ["track=wandb"], lambda given: loading.load(TINY, given, known)) == []


def test_every_tracker_is_an_extra() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in TRACKERS:
        assert extras[name][0].startswith(name)
