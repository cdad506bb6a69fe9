"""What `bench tune` refuses in one line before any work: test questions first of all."""

from pathlib import Path

import pytest

from harness.run.tuning import tune
from tests.bench_command import bench
from tests.harness.run.tuning import desk

TEST = "benchmarks.mt-bench={data: data/test, judge: gpt}"
JUDGE = "judges.gpt={model: gpt-4, base_url: 'http://127.0.0.1:9/v1'}"
BY_FLOPS, ALL, DRAWN = "tuning.trials=null", "tuning.trials=null", "tuning.search=random"


def score(**given: str) -> str:
    return f"tuning.score={{{', '.join(f'{key}: {value}' for key, value in given.items())}}}"


def dpo(values: str) -> str:
    return f"tuning.methods.DPO={{{values}}}"


OF_OTHERS = score(benchmark="implicit-reward", data="data/others.jsonl")
HELD_OUT = "datasets.mine.validation={path: data/others.jsonl}"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return desk.make(tmp_path_factory.mktemp("desk"))


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (
            ["tuning.score.benchmark=implict-reward"],
            "score.benchmark: no benchmark 'implict-reward'; did you mean 'implicit-reward'?",
        ),
        (["tuning.score=null"], "tuning.score: missing; what trials are compared by"),
        ([score(benchmark="objective")], "tuning.score.benchmark: objective has no score"),
        (["tuning.score.data=data/others.jsonl"], "tuning.score: give one of data, hold_out"),
        ([score(benchmark="implicit-reward")], "reads held-out pairs, and datasets.mine has no `validation`"),
        (["tuning.score.hold_out=0"], "tuning.score.hold_out: given 0; input should be greater than 0"),
        (["tuning.score.hold_out=60"], "data/pairs.jsonl: skip 60 leaves no pair"),
        (["datasets.mine.preference.limit=12"], "hold_out: given 12; datasets.mine.preference.limit is 12"),
        (["tuning.score.settings={dtipe: x}"], "tuning.score.settings.dtipe: unknown key"),
        (["tuning.score.setings={}"], "tuning.score.setings: unknown key; did you mean 'settings'?"),
        ([score(benchmark="mt-bench", hold_out="3")], "hold_out: mt-bench asks questions of its own"),
        (
            [score(benchmark="mt-bench", data="data/validation", settings="{judge: gtp}"), JUDGE],
            "tuning.score.settings.judge: no judge 'gtp'; did you mean 'gpt'?",
        ),
        (
            [score(benchmark="alpaca-eval", data="x", settings="{reference: DPO, judge: gpt}"), JUDGE],
            "alpaca-eval compares with DPO, which is tuned itself",
        ),
        (["tuning.trials=0"], "tuning.trials: given 0; input should be greater than 0"),
        (["tuning.trials=5"], "tuning.methods.DPO: 4 combinations, and 5 trials of every method asked"),
        (["tuning.flops=1e9"], "tuning: give one of trials, flops"),
        ([BY_FLOPS, "tuning.flops=1e3"], "tuning.flops: given 1000; one trial of SFT takes"),
        ([BY_FLOPS, "tuning.flops=1e30"], "of 1e+30 FLOPs; more values, or fewer FLOPs"),
        ([ALL, "tuning.methods={}"], "tuning.trials: missing"),
        (
            [ALL, "tuning.methods.SFT={lr: [1e-3]}"],
            "SFT has 1 combinations, DPO 4; every method has as many trials: give tuning.trials: 1",
        ),
        (
            ["tuning.methods.DPOO={lr: [1]}"],
            "tuning.methods.DPOO: no method 'DPOO'; did you mean 'DPO'?",
        ),
        ([dpo("bta: [1]")], "tuning.methods.DPO.bta: unknown key; did you mean 'beta'?"),
        ([dpo("training.epoch: [1]")], "DPO.training.epoch: unknown key; did you mean 'training.epochs'?"),
        ([dpo("beta: [0.1, -1]")], "methods.DPO.beta: given -1"),
        ([dpo("beta: []")], "tuning.methods.DPO.beta: given []"),
        ([dpo("beta: {log: [0.1, 1]}")], "methods.DPO.beta: a range; a grid has a list of values"),
        ([DRAWN, dpo("beta: {log: [0, 1]}")], "log: given [0.0, 1.0]; both are greater than 0"),
        ([DRAWN, dpo("beta: {log: [1, 0.1]}")], "given [1.0, 0.1]; the least value first"),
        ([DRAWN, dpo("beta: {uniform: [-1, 1]}")], "methods.DPO.beta: given -1"),
        (["tuning.search=randm"], "tuning.search: given 'randm'"),
        (['seeds={SFT: 2, "*": 1}'], "seeds: DPO has [0], SFT [0, 1]; trials of every method have the same"),
        # A test question, whatever else is right.
        (
            [HELD_OUT, "benchmarks.implicit-reward={}", OF_OTHERS],
            "'q a k' of data/others.jsonl is a test question of implicit-reward (data/others.jsonl), one of",
        ),
        (
            [TEST, JUDGE, score(benchmark="mt-bench")],
            "'a k ?' of data/test is a test question of mt-bench (data/test), one of 2 such in 2",
        ),
        # By its words: prompts of pairs, without the question marks that the questions have.
        ([TEST, JUDGE], "'a k' of data/pairs.jsonl is a test question of mt-bench (data/test), one of 2"),
        # Those beyond a limit are test questions, too.
        (
            [TEST, JUDGE, "benchmarks.mt-bench.limit=1", score(benchmark="mt-bench", settings="{limit: 1}")],
            "one of 2 such in 2",
        ),
    ],
)
def test_it_is_one_line_before_any_work(
    own: Path, sets: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own)
    with pytest.raises(ValueError) as told:
        tune.run(tune.Wanted("mine.yaml", sets), Path("runs"))
    assert line in str(told.value) and "\n" not in str(told.value)
    assert not (own / "runs").exists()


def test_the_command_ends_in_that_line(own: Path) -> None:
    done = bench("tune", "mine.yaml", "--set", TEST, "--set", JUDGE, cwd=own)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "give others by `data` or `hold_out`" in done.stderr
    assert not (own / "runs").exists()


def test_a_run_of_settings_whose_trials_are_gone_says_so(own: Path) -> None:
    done = bench("run", "mine.yaml", "--set", "tuned=runs/nowhere", cwd=own)
    assert done.returncode == 2
    assert "tuned: no file runs/nowhere/tuning.csv, which `bench tune` writes" in done.stderr
    assert not (own / "runs").exists()


def test_a_plan_says_how_many_trials_each_method_has(own: Path) -> None:
    done = bench("tune", "mine.yaml", "--plan", cwd=own)
    assert done.returncode == 0, done.stderr
    assert "SFT: 2 trials\nDPO: 2 trials\n" in done.stdout


def test_flops_buy_as_many_trials_as_fit(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a trial of c FLOPs three in 3.5 c; a method whose trials take more has fewer."""
    monkeypatch.chdir(own)
    sets = [BY_FLOPS, DRAWN]
    with pytest.raises(ValueError, match="one trial of SFT takes") as told:
        tune.run(tune.Wanted("mine.yaml", [*sets, "tuning.flops=1"]), Path("runs"))
    c = float(str(told.value).rpartition(" ")[2])
    given = [word for one in (*sets, f"tuning.flops={3.5 * c}") for word in ("--set", one)]
    done = bench("tune", "mine.yaml", "--plan", *given, cwd=own)
    assert done.returncode == 0, done.stderr
    assert "SFT: 3 trials\nDPO: 1 trials\n" in done.stdout


def test_flops_that_do_not_buy_a_trial_of_a_later_method_are_told_before_the_first(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADPA+ starts from the best of SFT here, which is trained first."""
    monkeypatch.chdir(own)
    sets = [BY_FLOPS, DRAWN, "methods={SFT: {}, ADPA+: {starts_from: SFT}}"]
    with pytest.raises(ValueError) as told:
        tune.run(tune.Wanted("mine.yaml", [*sets, "tuning.flops=1"], ["SFT"]), Path("runs"))
    c = float(str(told.value).rpartition(" ")[2])
    with pytest.raises(ValueError, match="one trial of ADPA\\+ takes"):
        tune.run(tune.Wanted("mine.yaml", [*sets, f"tuning.flops={1.5 * c}"]), Path("runs"))
    assert not (own / "runs").exists()


def test_no_search_replaces_another(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)

    def name(*sets: str, only: tuple[str, ...] = ()) -> str:
        return tune._look(tune.Wanted("mine.yaml", sets, only)).suite.name

    assert name() == name("tuning.trials=2") == "mine"
    assert name("tuning.trials=1") == "mine+tuning.trials=1"
    assert name(only=("SFT", "DPO")) == "mine+only=SFT,DPO"
    assert name("tuning.trials=1", "training.epochs=2", only=("DPO",)) == (
        "mine+epochs=2+tuning.trials=1+only=DPO"
    )
