"""Results stay: fewer rows of the same settings leave the others there, other settings are another run."""

import json
from pathlib import Path

from tests.bench_command import bench
from tests.paths import ROOT, TINY


def rows(folder: Path) -> list[str]:
    table = (folder / "tables" / "main.md").read_text()
    return [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (*folder.glob("*.jsonl"), *folder.glob("tables/*"))}


def test_fewer_rows_of_the_same_settings_leave_the_others(copied: Path) -> None:
    out = copied / "tiny"
    before = contents(out)
    done = bench("run", TINY, "--runs", str(copied), "--only", "DPO")

    assert done.returncode == 0, done.stderr
    assert "stay in the tables: SFT, DCKD, ADPA, ADPA+" in done.stdout
    assert contents(out) == before


def test_other_settings_are_another_run_that_is_listed_with_them(copied: Path) -> None:
    before = contents(copied / "tiny")
    words = ("run", TINY, "--runs", str(copied), "--only", "DPO", "--set", "methods.DPO.beta=0.5")
    assert bench(*words).returncode == 0
    assert contents(copied / "tiny") == before
    assert rows(copied / "tiny+DPO.beta=0.5") == ["Teacher", "Student", "DPO"]

    listed = {r["run"]: r for r in json.loads(bench("runs", "--runs", str(copied), "--json").stdout)}
    assert listed["tiny"]["set"] == [] and listed["tiny"]["rows"] == 7
    assert listed["tiny+DPO.beta=0.5"]["set"] == ["methods.DPO.beta=0.5"]
    assert "tiny+DPO.beta" in bench("runs", "--runs", str(copied)).stdout


def test_a_row_whose_settings_are_others_now_is_left_out_and_named(copied: Path, tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(Path(TINY).read_text().replace("DCKD: {alpha: 1.0}", "DCKD: {alpha: 2.0}"))
    done = bench("run", str(suite), "--runs", str(copied), "--only", "DPO")

    assert "of other settings or not in the store: DCKD, ADPA+" in done.stdout
    assert rows(copied / "tiny") == ["Teacher", "Student", "SFT", "DPO", "ADPA"]


def test_a_method_of_a_file_joins_the_rows_and_stays_without_it(copied: Path, tmp_path: Path) -> None:
    own = tmp_path / "my.py"
    own.write_text((ROOT / "methods" / "dpo.py").read_text().replace('name="DPO"', 'name="MyMethod"'))
    words = ("run", TINY, "--runs", str(copied), "--only")
    assert bench(*words, "MyMethod", "--method-file", str(own)).returncode == 0
    assert rows(copied / "tiny")[-1] == "MyMethod" and len(rows(copied / "tiny")) == 8
    assert bench(*words, "SFT").returncode == 0
    assert rows(copied / "tiny")[-1] == "MyMethod"

    own.unlink()
    assert "not in the store: MyMethod" in bench(*words, "SFT").stdout
    assert "MyMethod" not in rows(copied / "tiny")
