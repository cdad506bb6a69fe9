"""`bench report`: a finished run's tables again, from its rows alone."""

import json
import shutil
from html import escape
from pathlib import Path

import pytest

from reports.records.jsonl import STAMP
from tests.bench_command import bench
from tests.paths import TINY

UNSTAMPED = shutil.ignore_patterns(STAMP)  # of a copy whose rows are changed: what they were is not known


@pytest.fixture(scope="module")
def runs(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and no store: nothing but the rows is left."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(tiny_run / "tiny", folder / "tiny")
    return folder


@pytest.mark.parametrize("format", ["md", "csv", "tex"])
def test_a_table_is_the_one_that_the_run_wrote(runs: Path, format: str) -> None:
    done = bench("report", "tiny", "--runs", str(runs), "--table", "main", "--format", format)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (runs / "tiny" / "tables" / f"main.{format}").read_text().strip()


def test_the_verdict_the_main_table_and_where_the_rest_is_are_what_a_run_printed(runs: Path) -> None:
    """The best row of the first column first; each other table by its name, and all of them."""
    done = bench("report", "tiny", "--runs", str(runs))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("One run a method: ") and "Data quality" not in done.stdout
    *table, last = done.stdout.splitlines()
    assert max(map(len, table)) <= 80
    assert (
        last.startswith(f"More: {runs}/tiny/report.html, ") and " quality, " in last and last.endswith(" all")
    )
    whole = bench("report", "tiny", "--table", "all", "--runs", str(runs)).stdout
    assert (
        whole.startswith("One run a method: ") and "Results: tiny" in whole and "Data quality: tiny" in whole
    )
    one = bench("report", "tiny", "--table", "Quality", "--runs", str(runs)).stdout
    assert one.startswith("Data quality: tiny") and "Results" not in one


def test_rows_stand_best_first_in_the_terminal_and_as_registered_by_the_flag(
    runs: Path, tmp_path: Path
) -> None:
    """The last two methods are given the highest ratings."""
    shutil.copytree(runs / "tiny", tmp_path / "tiny", ignore=UNSTAMPED)
    rows = [json.loads(line) for line in (runs / "tiny" / "results.jsonl").read_text().splitlines()]
    for row in rows:
        if row["benchmark"] == "mt-bench" and row["value"] is not None:
            row["value"] = {"ADPA+": 9.0, "ADPA": 8.0}.get(row["method"], 2.0)
    (tmp_path / "tiny" / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def order(*words: str) -> list[str]:
        printed = bench("report", "tiny", *words, "--runs", str(tmp_path)).stdout.split("Results: tiny")[1]
        first = [line.split()[0] for line in printed.splitlines() if line.split()]
        return [name for name in first if name in registry][: len(registry)]

    registry = ["Teacher", "Student", "SFT", "DPO", "DCKD", "ADPA", "ADPA+"]
    assert order() == order("--table", "main") == ["ADPA+", "ADPA", *registry[:-2]]
    assert order("--registry-order") == registry


def test_run_report_file_and_page_say_the_same_words_first(copied: Path) -> None:
    ran, told = bench("run", TINY, "--runs", str(copied)), bench("report", "tiny", "--runs", str(copied))
    assert ran.stdout.endswith(told.stdout)
    words = bench("report", "tiny", "--runs", str(copied), "--table", "verdict").stdout
    assert words.startswith("One run a method: ") and max(map(len, words.splitlines())) <= 80
    assert told.stdout.startswith(words)
    assert words + "Results: tiny" in ran.stdout
    # What is left of a line that is too long for the terminal is set in.
    lines = words.replace("\n  ", " ").split("\n")[:-2]
    written = (copied / "tiny" / "tables" / "verdict.md").read_text().replace("\\", "")
    assert written == "\n\n".join(lines) + "\n"
    page = (copied / "tiny" / "report.html").read_text()
    places = [page.index(f"<p>{escape(line)}</p>") for line in lines]
    assert places == sorted(places)
    table = bench("report", "tiny", "--runs", str(copied), "--table", "verdict", "--format", "csv")
    assert table.returncode == 2 and "words are printed as terminal or md" in table.stderr


@pytest.fixture
def two(runs: Path, tmp_path: Path) -> Path:
    """The run twice, its second with other models: the ids of trained checkpoints are changed."""
    for name in ("one", "other"):
        shutil.copytree(runs / "tiny", tmp_path / name, ignore=UNSTAMPED)
    text = (tmp_path / "other" / "results.jsonl").read_text()
    (tmp_path / "other" / "results.jsonl").write_text(text.replace('"train-', '"train-again-'))
    return tmp_path


def test_several_runs_are_one_table_of_rows_that_bear_their_run(two: Path) -> None:
    done = bench("report", "one", "other", "--runs", str(two), "--format", "md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("### Results: one + other") == 1
    assert "| DCKD (one) |" in done.stdout and "| DCKD (other) |" in done.stdout
    shown = bench("report", "one", "other", "--runs", str(two)).stdout
    assert f"bench report {two}/one {two}/other --table NAME: " in shown


def test_methods_of_two_runs_are_compared_the_first_being_the_baseline(two: Path) -> None:
    done = bench("compare", "one:adpa", "other:ADPA", "--runs", str(two), "--json")
    assert done.returncode == 0, done.stderr
    table, *_ = json.loads(done.stdout)["tables"]["comparison"]
    assert [row["name"] for row in table["rows"]] == ["ADPA (one)", "ADPA (other)"]
    assert table["columns"][1]["title"] == "less ADPA (one)"
    less = table["rows"][1]["cells"][table["columns"][1]["name"]]
    assert less["value"] == 0.0 and less["n"] == 8


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "results.jsonl",
            '"judge": "rule"',
            '"judge": "gpt"',
            "another judge in one (rule) than in other (gpt)",
        ),
        ("steps.jsonl", '["data", "', '["data", "0', "mt-bench has other data in one ("),
        ("results.jsonl", '"question": "3"', '"question": "333"', "mt-bench has other questions in one ("),
        (
            "results.jsonl",
            '"version": "1.0, 0-shot"',
            '"version": "1.0, 5-shot"',
            "openllm has another",
        ),
    ],
)
def test_runs_that_were_asked_or_judged_in_two_ways_are_refused(
    two: Path, file: str, old: str, new: str, message: str
) -> None:
    changed(two / "other" / file, old, new)
    for words in (("report", "one", "other"), ("compare", "one:ADPA", "other:ADPA")):
        done = bench(*words, "--runs", str(two))
        assert done.returncode == 2 and message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_json_has_the_verdict_and_the_cells_with_all_digits(runs: Path) -> None:
    told = json.loads(bench("report", "tiny", "--json", "--runs", str(runs)).stdout)
    assert told["verdict"][0].startswith("One run a method: ") and list(told["tables"]) == ["main"]
    lines = (runs / "tiny" / "tables" / "main.csv").read_text().splitlines()[1:]
    table = told["tables"]["main"][0]
    assert len(lines) == len(table["rows"]) * len(table["columns"])
    first = lines[0].split(",")
    assert table["rows"][0]["cells"][first[2]]["value"] == float(first[3])


def test_the_answers_behind_a_number_are_shown(runs: Path) -> None:
    words = ("--methods", "DCKD,Student", "--benchmark", "mt-bench", "--question")
    question = next(
        row["question"]
        for row in map(json.loads, (runs / "tiny" / "results.jsonl").read_text().splitlines())
        if row["benchmark"] == "mt-bench"
    )
    done = bench("show", "tiny", *words, question, "--runs", str(runs))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--- DCKD") == done.stdout.count("--- Student") == 2
    wrong = bench("show", "tiny", *words, "x", "--runs", str(runs))
    assert wrong.returncode == 2 and "no question 'x'" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tini"], "no run 'tini' in {runs}; did you mean 'tiny'?"),
        (["tiny", "--table", "mian"], "no table 'mian'; did you mean 'main'?"),
        (["tiny", "--format", "latex"], "--format latex: did you mean 'tex'?"),
        (["tiny", "tiny"], "runs in one table have names of their own"),
    ],
)
def test_what_is_not_there_is_one_line_with_the_nearest(runs: Path, words: list[str], message: str) -> None:
    done = bench("report", *words, "--runs", str(runs))
    assert done.returncode == 2 and message.format(runs=runs) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_method_is_compared_with_the_baseline(runs: Path) -> None:
    done = bench("compare", "tiny", "--baseline", "Student", "--runs", str(runs), "--format", "md")
    assert done.returncode == 0, done.stderr
    assert "less Student" in done.stdout and "| DCKD |" in done.stdout and "Group" in done.stdout


def test_a_baseline_that_is_no_row_is_one_line_with_the_nearest(runs: Path) -> None:
    done = bench("compare", "tiny", "--baseline", "DCDK", "--runs", str(runs))
    assert done.returncode == 2 and "no row 'DCDK'; did you mean 'DCKD'?" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "tiny", "--noise-from", "tini"], "no run 'tini' in {runs}; did you mean 'tiny'?"),
        (["report", "tiny", "--noise-from", "tiny"], "tiny: no method of it was trained more than once"),
        (["report", "tiny", "--noise-from", "tiny", "--format", "html"], "a page is of its run alone"),
        (["report", "tiny", "--beside", "paper", "--format", "html"], "--beside is for tables"),
        (["report", "tiny", "--registry-order", "--format", "html"], "--registry-order is for tables"),
        (["compare", "tiny:DPO"], "compare tiny:DPO: nothing to compare it with"),
        (["compare", "tiny: ", "tiny:SFT"], "must be RUN:METHOD, as pocket:DPO"),
        (["compare", ":DPO", "tiny:SFT"], "must be RUN:METHOD, as pocket:DPO"),
        (["compare", "tiny", "--baseline", "DCKD", "--noise-from", "tini"], "did you mean 'tiny'?"),
        (["compare", "tiny", "--noise", "--noise-from", "tiny"], "--noise-from is for --baseline"),
    ],
)
def test_what_is_not_for_these_runs_is_one_line(runs: Path, words: list[str], message: str) -> None:
    done = bench(*words, "--runs", str(runs))
    assert done.returncode == 2 and message.format(runs=runs) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_noise_is_taken_from_another_run(runs: Path) -> None:
    """Twice the run's records as those of two seeds whose models are told apart."""
    shutil.copytree(runs / "tiny", runs / "long", ignore=UNSTAMPED)
    rows = [json.loads(line) for line in (runs / "tiny" / "results.jsonl").read_text().splitlines()]
    again = [r | {"seed": 1, "artifacts": [f"{a}-1" for a in r["artifacts"]]} for r in rows]
    (runs / "long" / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*rows, *again]))
    words = ("--noise-from", "long", "--runs", str(runs))
    for done in (bench("report", "tiny", *words), bench("compare", "tiny", "--baseline", "DCKD", *words)):
        assert done.returncode == 0, done.stderr
        assert "taken from run long: 2 seeds" in " ".join(done.stdout.split())
    shutil.rmtree(runs / "long")


def test_what_numbers_vary_by_is_told_of_every_mean(runs: Path) -> None:
    done = bench("compare", "tiny", "--noise", "--runs", str(runs), "--format", "md")
    assert done.returncode == 0, done.stderr
    assert "### Noise, MT-Bench" in done.stdout and "| method x question, and residual |" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "compare wants one of --baseline METHOD and --noise"),
        (["--noise", "--baseline", "DCKD"], "compare wants one of --baseline METHOD and --noise"),
        (["--noise", "--difference", "-1"], "--difference -1.0: allowed: a number over 0, with --noise"),
        (["--noise", "--difference", "nan"], "--difference nan: allowed: a number over 0"),
        (
            ["--baseline", "DCKD", "--difference", "1"],
            "--difference 1.0: allowed: a number over 0, with --noise",
        ),
    ],
)
def test_what_compare_cannot_do_is_one_line(runs: Path, words: list[str], message: str) -> None:
    done = bench("compare", "tiny", *words, "--runs", str(runs))
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("keys", [{"unit": "share"}, {"title": "Mine"}])
def test_what_a_run_says_of_its_benchmarks_is_as_it_wrote_it(
    runs: Path, tmp_path: Path, keys: dict[str, str]
) -> None:
    """Another unit would show 1.00 as 100.0; a benchmark that is gone takes its column with it."""
    shutil.copytree(runs / "tiny", tmp_path / "tiny")
    path = tmp_path / "tiny" / "benchmarks.json"
    known = json.loads(path.read_text())
    known[0]["columns"][0] |= keys
    for change in (json.dumps(known), json.dumps(known[1:]), None):
        path.unlink() if change is None else path.write_text(change)
        done = bench("report", "tiny", "--runs", str(tmp_path))
        assert done.returncode == 2 and f"{path}: no" in done.stderr and "writes it anew" in done.stderr


def test_a_run_is_called_by_its_name_in_its_own_folder(runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(runs / "tiny", tmp_path / name, ignore=UNSTAMPED)
    path = tmp_path / "two" / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["value"] = 2.0 if row["benchmark"] == "mt-bench" and row["value"] is not None else row["value"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = bench("report", ".", "../two", "--table", "main", cwd=tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "SFT (one)" in done.stdout and "SFT (two)" in done.stdout


def test_runs_that_say_one_number_in_two_units_stand_in_no_table(runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(runs / "tiny", tmp_path / name, ignore=UNSTAMPED)
    path = tmp_path / "two" / "benchmarks.json"
    path.write_text(path.read_text().replace('"unit": "score"', '"unit": "share"', 1))
    done = bench("report", "one", "two", "--runs", str(tmp_path))
    assert done.returncode == 2 and "has the unit 'score' in one, 'share' in two" in done.stderr
