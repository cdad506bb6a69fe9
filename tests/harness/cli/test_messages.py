"""What the command says of a name, a path, a key or a price that it does not know, and which it takes."""

import json
import re
from pathlib import Path

import pytest

from harness.endpoints.ledger import Ledger
from harness.endpoints.prices import Price
from harness.evaluate.judges import EndpointJudge, ServedJudge
from harness.forecast import local_data
from harness.store.store import Store
from tests.bench_command import bench
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.store.steps import text_step
from tests.paths import ROOT

SUITE = """
name: own
max_length: 64
pairs: {p: {teacher: {base: models/teacher}, student: {base: models/student}}}
datasets: {d: {preference: {path: data/pairs.jsonl}}}
training: {lr: 1e-4, epochs: 1, batch_size: 8}
methods: {SFT: {}, DPO: {}}
judges: {j: {model: gpt-4-1106-preview, base_url: "http://127.0.0.1:1/v1"}, k: {model: unheard-of}}
benchmarks: {mt-bench: {judge: j, limit: 8}, alpaca-eval: {judge: j, reference: SFT, limit: 5}}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    for seed, who in enumerate(("teacher", "student")):
        tiny_folder(folder / "models" / who, seed=seed)
    (folder / "data").mkdir()
    row = {"prompt": "12345678", "chosen": "1234", "rejected": "12"}
    (folder / "data" / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    with (folder / "data" / "pairs.jsonl").open("a") as file:
        file.writelines(json.dumps(row | {"prompt": f"{n:08}"}) + "\n" for n in range(59))
    (folder / "own.yaml").write_text(SUITE)
    return folder


def planned(desk: Path, *words: str) -> str:
    done = bench("run", "own.yaml", *words, cwd=desk, BENCH_DATA=str(desk / "no-data"))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("judges.j.url=x", "own.yaml: judges.j.url: unknown key; did you mean 'base_url'?"),
        ("benchmarks.mt-bench.base_url=x", "benchmarks.mt-bench.base_url: unknown key; known: data, max_tok"),
        ("models.x={url: x, model: y, base_url: z}", "models.x.base_url: unknown key; did you mean 'url'?"),
        ("base_url=x", "own.yaml: base_url: unknown key; known: name, "),
        ("pairs.p.teacher.base=models/teachr", "no folder models/teachr; did you mean 'teacher'?"),
        ("pairs.p.student.base=models/q", "no folder models/q (a local folder, or a hub id"),
        (
            "datasets.d.preference.path=data/pairs.jsnl",
            "data/pairs.jsnl; did you mean 'pairs.jsonl'?",
        ),
        ("datasets.d.preference.path=data/other", "no file data/other"),
    ],
)
def test_a_wrong_key_or_path_is_one_line_of_its_own_section(desk: Path, given: str, message: str) -> None:
    done = bench("run", "own.yaml", "--plan", "--set", given, cwd=desk)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "hub said" not in done.stderr


def test_every_key_of_a_judge_stands_in_the_page_of_a_suite() -> None:
    named = set(re.findall(r"^\| `(\w+)` \| ", (ROOT / "docs" / "suite.md").read_text(), re.M))
    assert named >= {*EndpointJudge.model_fields, *ServedJudge.model_fields}


@pytest.mark.parametrize("only", ["dpo,sft", "DPO, SFT", "Dpo"])
def test_methods_are_taken_with_commas_between_and_in_any_case(desk: Path, only: str) -> None:
    told = planned(desk, "--plan", f"--only={only}")
    wanted = {"SFT", "DPO"} if "," in only else {"DPO"}
    assert {row for row in ("SFT", "DPO") if f"answers of {row} " in told} >= wanted
    refused = bench("run", "own.yaml", "--plan", "--only", "SFT,dop", cwd=desk)
    assert refused.returncode == 2 and "--only: no method 'dop'" in refused.stderr
    assert "# ADPA\n" in bench("methods", "adpa").stdout


def test_a_plan_knows_the_rows_of_local_files(desk: Path) -> None:
    """60 rows of 8, 4 and 2 bytes at four bytes a token, a part at least one token."""
    path = str(desk / "data" / "pairs.jsonl")
    assert local_data.typical(path, "train", "auto", True) == {
        "rows": {"train": 60},
        "prompt": 2.0,
        "chosen": 1.0,
        "rejected": 1.0,
    }
    told = planned(desk, "--plan")
    assert "tokens a row of data/pairs.jsonl (" in told and "no estimate for" not in told


def test_plan_and_estimate_say_one_cost(desk: Path) -> None:
    """4 rows of 8 questions and 2 turns each; of 5 pairs in both orders, 3 rows beside the reference."""
    estimate, plan = planned(desk, "--estimate"), planned(desk, "--plan")
    found = {line.split("│")[1].strip(): line.split("│") for line in estimate.splitlines() if "│" in line}
    assert found["mt-bench"][4].strip() == str(4 * 16) and found["alpaca-eval"][4].strip() == str(3 * 10)
    sums = [line for line in plan.splitlines() if line.startswith("  all ")]
    assert sums[0].split(" USD ")[1] == found["total"][7].strip() != "0.00"


def test_a_price_that_is_not_known_is_no_sum(desk: Path) -> None:
    unpriced = "--set=benchmarks.mt-bench.judge=k"
    estimate, plan = planned(desk, "--estimate", unpriced), planned(desk, "--plan", unpriced)
    (total,) = [line for line in estimate.splitlines() if "total" in line]
    assert total.split("│")[7].strip() == "-" and "No price of unheard-of is known" in estimate
    (whole,) = [line for line in plan.splitlines() if line.startswith("  all ")]
    assert whole.endswith(" -")


def test_what_a_model_without_a_price_took_is_said_and_not_summed() -> None:
    ledger = Ledger({"known": Price(1e6, 0.0)})
    ledger.end("dear", ledger.begin("dear", 3, 1), (10, 1))
    assert "no price of dear is known (--prices FILE)" in ledger.summary_line()
    assert "0.00 USD" not in ledger.summary_line()
    ledger.end("known", ledger.begin("known", 3, 1), (2, 1))
    assert "2.00 USD and what has no price: no price of dear is known" in ledger.summary_line()


def test_why_takes_what_a_plan_prints_and_says_what_is_not_made_yet(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    one, two = text_step("a"), text_step("b")
    for step in (one, two):
        store.make(step)
    names = [f"{step.kind.name}-{step.id}" for step in (one, two)]
    for said in (names, [name[:-4] for name in names], [one.label.upper(), two.label]):
        told = bench("why", *said, "--runs", str(tmp_path))
        assert told.returncode == 0 and "text a -> b" in told.stdout, told.stderr
    undone = f"train-{'0' * 12}"
    refused = bench("why", undone, names[0], "--runs", str(tmp_path))
    assert refused.returncode == 2 and f"no artifact '{undone}' in" in refused.stderr
    assert "not made yet" in refused.stderr


def test_why_takes_the_methods_of_a_run(tiny_run: Path) -> None:
    told = bench("why", "tiny/SFT", "tiny/dpo", "--runs", str(tiny_run))
    assert told.returncode == 0, told.stderr
    assert "label SFT -> DPO" in told.stdout
    refused = bench("why", "tiny/SFT", "tiny/DOP", "--runs", str(tiny_run))
    assert refused.returncode == 2 and "did you mean 'DPO'?" in refused.stderr
