"""The suites that regenerate the papers' tables: whole, published where something was, planned without a
network, and run to their tables as shrunken twins.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import methods
from harness.cli import suite_catalogue
from harness.common import hub
from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast import judging_estimate
from harness.forecast.forecast import device_named, forecast
from harness.forecast.sizes import PlanSizes
from harness.plan.plan import Plan, plan
from harness.store.step import Step
from harness.suite import loading
from harness.suite.schema import row_count
from harness.train.costs import TRAIN
from tests import goldens, suites
from tests.bench_command import bench
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV, Running
from tests.harness.plan import tiny_presets

ADPA = ("adpa-llama", "adpa-danube-1.8b", "adpa-danube-500m", "adpa-llama2")
PRESETS = (*ADPA, "adpa-ablation", "pad-gemma", "pad-llama", "smol")


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[None]:
    with goldens.offline(tmp_path):
        yield


def planned(name: str, *overrides: str) -> tuple[Plan, list[str]]:
    """The plan of a preset as it is printed, and what was not resolved."""
    with hub.unresolved_allowed() as names:
        return plan(suites.load(name, overrides), methods.registry(), Machine()), names


def step_of(found: Plan, label: str) -> Step:
    (step,) = [s for s in found.steps if s.label == label and s.kind == TRAIN]
    return step


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_planned_whole_without_a_network(name: str, offline: None) -> None:
    found, names = planned(name)
    loaded = found.suite
    for method in loaded.methods:
        loading.configured(loaded, methods.registry()[method])
    assert len(found.cells) == row_count(loaded)
    for cell in found.cells:
        assert set(loaded.benchmarks.settings_by_name()) == {*cell.measures, *(b for b, _ in cell.missing)}
        assert not cell.missing or set(cell.missing) == {("implicit-reward", "")}, cell.missing
    ids = [p.base for pair in loaded.pairs.values() for p in (pair.teacher, pair.student)]
    sources = [d.preference.path for d in loaded.datasets.values()]
    assert {*ids, *sources} <= set(names)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE"):
        plan(loaded, methods.registry(), Machine())


@pytest.mark.parametrize("name", ADPA)
def test_a_stage_is_planned_once_for_all_rows_and_data_sets_that_share_it(name: str, offline: None) -> None:
    """Two SFT stages for both data sets, a DPO teacher for each, and a last stage for each of 13 rows."""
    found, _ = planned(name, "selection=")
    labels = [s.label for s in found.steps if s.kind == TRAIN]
    counts = {label: labels.count(label) for label in labels}
    assert counts == {
        "sft teacher": 1,
        "sft student": 1,
        "dpo teacher": 2,
        **{method: 2 for method in found.suite.methods},
    }


def test_the_published_recipe_is_what_is_planned(offline: None) -> None:
    """The released student_sft_init.yaml, teacher_dpo.yaml, student_dckd.yaml, student_adpa.yaml."""
    found, _ = planned("adpa-llama")
    recipes: dict[str, set[tuple[Any, ...]]] = {}
    for step in found.steps:
        if step.kind == TRAIN:
            t = step.settings.training
            told = (t.lr, t.epochs, t.batch_size, t.warmup, t.schedule, step.settings.seed)
            recipes.setdefault(step.label, set()).add(told)
    after_sft = (5e-7, 3, 128, 0.1, "cosine", 42)
    assert recipes["sft teacher"] == recipes["sft student"] == {(2e-5, 3, 128, 0.1, "cosine", 42)}
    assert recipes["dpo teacher"] == {(5e-7, 1, 128, 0.1, "cosine", 42)}
    assert recipes["DCKD"] == recipes["ADPA"] == recipes["ADPA+"] == {after_sft}
    for step in found.steps:
        if step.label == "dpo teacher":
            assert step.settings.hp["beta"] == 0.01
        if step.label == "DCKD" and step.kind == TRAIN:
            assert step.settings.hp["alpha"] == 0.1 and step.settings.checkpoints == 6


def test_the_ablations_share_their_steps_with_the_main_tables(offline: None) -> None:
    """Each pair of Table 2 is written out there again: any difference would be another id."""
    every = {s.id for s in planned("adpa-ablation")[0].steps}
    for name in ("adpa-danube-500m", "adpa-danube-1.8b", "adpa-llama2"):
        own, _ = planned(name, "benchmarks.openllm=")
        dpo_mix = {
            s.id
            for c in own.cells
            if c.dataset == "dpo-mix-7k" and c.method in ("DCKD", "ADPA")
            for s in [c.source]
            if isinstance(s, Step)
        }
        assert len(dpo_mix) == 2 and dpo_mix <= every


def test_each_ablation_is_compared_with_both_whole_methods(offline: None) -> None:
    found, _ = planned("adpa-ablation")
    assert len(found.cells) == 3 * 17
    for cell in found.cells:
        assert set(cell.measures["alpaca-eval"]) == {"answers", "judgments.DCKD", "judgments.ADPA"}


def test_the_decomposing_strategy_has_a_stage_for_each_iteration(offline: None) -> None:
    found, _ = planned("pad-gemma")
    labels = [s.label for s in found.steps if s.kind == TRAIN and s.label.startswith("PAD[")]
    rounds = {name: sum(label.startswith(name) for label in labels) for name in ("PAD[2x2]", "PAD[3x4]")}
    assert rounds == {"PAD[2x2]": 2, "PAD[3x4]": 3}
    training = step_of(found, "DPO").settings.training
    assert (training.lr, training.schedule, training.warmup) == (8e-7, "linear", 0)


def test_the_small_teacher_of_smol_gives_adpa_both_its_models(offline: None) -> None:
    """The words in the suite's comment: a DPO stage makes the teacher another model than its reference."""
    text = loading.suite_file("smol").read_text()
    overrides = [w.strip('"') for w in re.findall(r'--set ("[^"]+"|\S+)', text)]
    assert len(overrides) == 3
    with hub.unresolved_allowed():
        found = plan(suites.load("smol", overrides), methods.registry(), Machine(), only=["ADPA"])
    signals = step_of(found, "ADPA").sources
    assert signals["signal.student_rollout.teacher"].id != signals["signal.student_rollout.teacher_ref"].id


def test_an_estimate_needs_neither_network_nor_data(tmp_path: Path) -> None:
    """17 rows on two data sets, one Student of both: 160 calls each for MT-Bench, and 805 for AlpacaEval but
    for the reference itself. The plan says the same sum.
    """
    told = bench("run", "adpa-llama", "--estimate", HF_HUB_OFFLINE="1", BENCH_DATA=str(tmp_path))
    assert told.returncode == 0, told.stderr
    assert f"{160 * 33:,}" in told.stdout and f"{805 * 32:,}" in told.stdout and "No price" not in told.stdout
    (total,) = [line for line in told.stdout.splitlines() if "total" in line]
    plan = bench("run", "adpa-llama", "--plan", HF_HUB_OFFLINE="1", BENCH_DATA=str(tmp_path)).stdout
    (whole,) = [line for line in plan.splitlines() if line.startswith("  all ")]
    assert whole.endswith(" USD 215.67") and "215.67" in total


def test_a_plan_is_printed_whole_without_network_cache_or_data_and_says_what_it_could_not_look_up(
    tmp_path: Path,
) -> None:
    """The hub's address refuses; a run of the same suite is refused in one line."""
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    empty = {"HF_HOME": str(tmp_path / "hub"), "BENCH_DATA": str(tmp_path / "data")}
    words = ("run", "adpa-llama", "--runs", str(tmp_path / "runs"))
    told = bench(*words, "--plan", **nowhere, **empty)
    assert told.returncode == 0, told.stderr
    ahead, _, planned = told.stdout.partition("\n\n")
    *steps, summary, unresolved = planned.splitlines()
    assert "teacher passes: " in ahead
    assert len(steps) > 400 and all(line.startswith("run  ") for line in steps)
    assert summary == f"adpa-llama: {len(steps)} steps, {len(steps)} to do"
    for name in ("meta-llama/Llama-3.1-8B", "argilla/dpo-mix-7k", "mt-bench", "alpaca-eval"):
        assert name in unresolved
    refused = bench(*words, **nowhere, **empty)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert "the hub said nothing" in refused.stderr and not (tmp_path / "runs" / "store").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_every_judge_of_a_preset_has_a_price(name: str) -> None:
    with hub.unresolved_allowed():
        found = plan(suites.load(name), methods.registry(), Machine())
    sizes = PlanSizes(found.suite, Machine(), None, prices.load(None))
    assert all(line.usd for line in judging_estimate.lines(forecast(found, sizes, device_named("h200"))))


def test_the_list_of_suites_has_each_with_its_size_and_what_it_is() -> None:
    lines = suite_catalogue.listing().splitlines()
    rows = {line.split()[0]: line.split(maxsplit=5)[1:] for line in lines[1::2]}
    assert set(PRESETS) | {"pocket", "real-text"} <= set(rows)
    assert rows["adpa-ablation"] == ["3", "1", "15", "51", "mt-bench, alpaca-eval"]
    about = lines[lines.index(next(line for line in lines if line.startswith("smol"))) + 1]
    assert about.strip() == "SmolLM2-1.7B-Instruct > SmolLM2-135M, sized for one card of 24 GB."


def test_the_page_of_a_suite_is_its_file_and_those_that_it_extends() -> None:
    folder, told = loading.suite_file("adpa-llama2").parent, suite_catalogue.page("adpa-llama2")
    files = [folder / "adpa-llama2.yaml", folder / "parts/adpa-table.yaml", folder / "parts/adpa.yaml"]
    places = [told.index(file.read_text().strip()) for file in files]
    assert places == sorted(places) and places[0] == 0
    assert suite_catalogue.page("pocket").strip() == loading.suite_file("pocket").read_text().strip()
    with pytest.raises(ValueError, match=r"no suite 'adpa-lama', .*; did you mean 'adpa-llama'\?$"):
        suite_catalogue.page("adpa-lama")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("judge") / "log.jsonl")


def run_twin(
    name: str, folder: Path, judge: Running, family: str, rows: Sequence[str], **changes: object
) -> Path:
    """The folder in which a preset's twin has run to its tables, for some of its rows."""
    home = tiny_presets.data_folder(folder)
    template = tiny_presets.GEMMA if name.startswith("pad") else None
    pair = (
        tiny_presets.model_folder(folder / "teacher", family, hidden=32, seed=1, template=template),
        tiny_presets.model_folder(folder / "student", family, hidden=16, seed=2, template=template),
    )
    changes = {"training__batch_size": 8, "training__lr": 1e-2, **changes}
    sets = tiny_presets.words(suites.load(name), folder, pair, judge, **changes)
    chosen = [word for method in rows for word in ("--only", method)]
    env = {"BENCH_DATA": str(home), KEY_ENV: KEY}
    words = ("--name", name, "--processes", "1", "--runs", str(folder / "runs"))
    done = bench("run", name, *words, *sets, *chosen, **env)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "runs" / name


def rows_of(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]


def assert_whole(run: Path, rows: Sequence[str], datasets: int, benchmarks: Sequence[str]) -> None:
    """Every row stands in the main table, was trained, and has every benchmark's number."""
    table = [line.split("|") for line in (run / "tables/main.md").read_text().splitlines()]
    named = [cells[2 if datasets > 1 else 1].strip() for cells in table if len(cells) > 3][2:]
    assert named == ["Teacher", "Student", *rows] * datasets
    results = rows_of(run, "results")
    assert {r["status"] for r in results} <= {"ok", "unparsed"}
    found = {(r["benchmark"], r["dataset"], r["method"]) for r in results}
    assert len(found) == len(benchmarks) * datasets * (len(rows) + 2)
    assert {b for b, _, _ in found} == set(benchmarks)
    training = rows_of(run, "training")
    assert len(training) == datasets * len(rows) and all(t["moved"] > 0.5 for t in training)


@pytest.mark.slow
def test_the_twin_of_adpa_llama_runs_to_its_tables(tmp_path: Path, judge: Running) -> None:
    """Llama > Llama with the release's template, a reward model that selects, and every benchmark."""
    rm = tiny_presets.model_folder(tmp_path / "rm", "llama", scores=True, template=tiny_presets.GEMMA)
    rows = ["SFT", "DPO", "DCKD", "ADPA", "ADPA+"]
    changes = {"selection__model": rm, "selection__max_tokens": 6}
    run = run_twin("adpa-llama", tmp_path, judge, "llama", rows, **changes)

    assert_whole(run, rows, 2, ["mt-bench", "alpaca-eval", "openllm"])
    kept = [json.loads(p.read_text()) for p in tmp_path.glob("runs/store/select/*/selection.json")]
    assert sorted({len(k["means"]) for k in kept}) == [2, 6]  # DPO is trained for one epoch, the others for 3
    assert all(k["means"][k["chosen"] - 1] == max(k["means"]) for k in kept)
    assert any(len(set(k["means"])) > 1 for k in kept)
    against = [
        r for r in rows_of(run, "results") if r["benchmark"] == "alpaca-eval" and r["method"] == "ADPA"
    ]
    assert {r["value"] for r in against} == {0.5}
    told = bench("report", str(run), "--beside", "paper", "--format", "csv")
    assert told.returncode == 0, told.stderr
    cells = {(r["dataset"], r["method"], r["column"]): r for r in csv.DictReader(io.StringIO(told.stdout))}
    published = "mt-bench.score.published"
    assert cells["dpo-mix-7k", "ADPA", published]["value"] == "3.88"
    assert cells["helpsteer2", "ADPA+", published]["value"] == "3.99"
    verdicts = {r["value"] for r in cells.values() if r["column"] == "mt-bench.score.verdict"}
    assert verdicts - {"value"} == {"not comparable: other judge"}


@pytest.mark.slow
def test_the_twin_of_a_danube_pair_runs_to_its_tables(tmp_path: Path, judge: Running) -> None:
    """Mistral > Mistral, with the template for models that have none; the last checkpoint."""
    rows = ["DCKD", "ADPA"]
    run = run_twin("adpa-danube-1.8b", tmp_path, judge, "mistral", rows, selection="")
    assert_whole(run, rows, 2, ["mt-bench", "alpaca-eval", "openllm"])


@pytest.mark.slow
def test_the_twin_of_pad_gemma_runs_to_its_tables(tmp_path: Path, judge: Running) -> None:
    """Gemma-2 > Gemma-2 with a soft-cap and a template of their own, no SFT stage, and four benchmarks."""
    rows = ["DPO", "PAD", "PAD[2x2]", "SimPO[PAD]"]
    run = run_twin("pad-gemma", tmp_path, judge, "gemma-2", rows)
    assert_whole(run, rows, 1, ["mt-bench", "alpaca-eval-2", "arena-hard", "gsm8k-cot"])
