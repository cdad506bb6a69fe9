"""`bench eval` as people run it: real processes, a real judge on 127.0.0.1, one clear line for each fault."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import bench_command
from tests.benchmarks.openllm.small_tasks import MULTIPLE_CHOICE, choices, write_rows
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV, Running
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT

DETERMINISTIC = ("results.jsonl", "summaries.jsonl", "judging.jsonl", "tables/main.md", "tables/judging.md")
SINGLE = (
    "[Question]\n{question}\n\n[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]"
)
MULTI = "Rating: {question_1} {answer_1} {question_2} {answer_2}"
ALL = "mt-bench,alpaca-eval,alpaca-eval-2,arena-hard,gsm8k-cot,openllm"


bench = partial(bench_command.bench, **{KEY_ENV: KEY})


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("judge") / "log.jsonl")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, another one, and small data of every benchmark."""
    root = tmp_path_factory.mktemp("world")
    for name, seed in (("ours", 0), ("theirs", 1)):
        tiny_folder(root / name, seed=seed)
    mt_bench = root / "mt-bench"
    mt_bench.mkdir()
    write_rows(
        mt_bench / "question.jsonl",
        [
            {"question_id": n, "category": category, "turns": [f"a b {category}", "c <|im_end|> d"]}
            for n, category in enumerate(("stem", "math", "writing"), 81)
        ],
    )
    prompts = {"single-v1": SINGLE, "single-math-v1": SINGLE}
    prompts |= {f"{name}-multi-turn": MULTI for name in prompts}
    write_rows(
        mt_bench / "judge_prompts.jsonl",
        [
            {"name": n, "system_prompt": "Give a [[rating]].", "prompt_template": f"Rating: {t}"}
            for n, t in prompts.items()
        ],
    )
    alpaca = root / "alpaca-eval"
    alpaca.mkdir()
    asked = [{"id": str(n), "instruction": f"a b c {'d ' * n}"} for n in range(6)]
    (alpaca / "questions.json").write_text(json.dumps(asked))
    arena = root / "arena-hard"
    (arena / "model_answer").mkdir(parents=True)
    questions = [
        {"uid": f"q{n}", "category": "arena-hard-v0.1", "prompt": f"x y {'z ' * n}"} for n in range(4)
    ]
    write_rows(arena / "question_v0.1.jsonl", questions)
    write_rows(
        arena / "model_answer" / "gpt-4-0314.jsonl",
        [
            {
                "uid": q["uid"],
                "model": "gpt-4-0314",
                "messages": [{"role": "assistant", "content": {"answer": f"the {n}th"}}],
            }
            for n, q in enumerate(questions)
        ],
    )
    gsm8k = root / "gsm8k-cot"
    gsm8k.mkdir()
    write_rows(
        gsm8k / "gsm8k_test.jsonl", [{"question": "e f", "answer": f"It is.\n#### {n}"} for n in range(3)]
    )
    tasks = root / "openllm"
    tasks.mkdir()
    (tasks / "choose.yaml").write_text(MULTIPLE_CHOICE)
    write_rows(tasks / "choose.jsonl", choices(1))
    write_rows(tasks / "choose_train.jsonl", choices(2))
    return root


def words(world: Path, judge: Running, runs: Path, benchmarks: str = ALL, model: str = "ours") -> list[str]:
    data = [f"--data={b}={world / b.removesuffix('-2')}" for b in benchmarks.split(",") if b != "openllm"]
    openllm = ["openllm.tasks=[choose]", f"openllm.include={world / 'openllm'}", "openllm.batch_size=4"]
    limits = [f"{b}.max_tokens=6" for b in benchmarks.split(",") if b != "openllm"]
    settings = [f"--set=benchmarks.{s}" for s in limits + (openllm if "openllm" in benchmarks else [])]
    for name in ("alpaca-eval", "alpaca-eval-2"):
        settings += [f"--set=benchmarks.{name}.reference=theirs"] if name in benchmarks.split(",") else []
    asked = ["--judge=gpt-4", f"--judge-url={judge.url}", f"--judge-key-env={KEY_ENV}"]
    models = [str(world / model), str(world / "theirs")]
    return ["eval", *models, f"--bench={benchmarks}", *asked, *data, *settings, f"--runs={runs}", "--name=e"]


def rows(runs: Path, name: str = "results") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / "e" / f"{name}.jsonl").read_text().splitlines()]


def notes(runs: Path) -> str:
    return (runs / "e" / "tables" / "main.md").read_text()


@pytest.fixture(scope="module")
def finished(world: Path, judge: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both models were measured on every benchmark."""
    runs = tmp_path_factory.mktemp("runs")
    done = bench(*words(world, judge, runs))
    assert done.returncode == 0, done.stderr
    return runs


def test_every_benchmark_measures_every_model(finished: Path) -> None:
    found = rows(finished)
    counts = {b: sum(r["benchmark"] == b and r["method"] == "ours" for r in found) for b in ALL.split(",")}
    assert counts == {
        "mt-bench": 6,
        "alpaca-eval": 6,
        "alpaca-eval-2": 6,
        "arena-hard": 8,
        "gsm8k-cot": 3,
        "openllm": 23,
    }
    assert {r["method"] for r in found} == {"ours", "theirs"}
    assert {r["value"] for r in found if r["benchmark"] == "alpaca-eval" and r["method"] == "theirs"} == {0.5}
    table = (finished / "e" / "tables" / "main.md").read_text()
    for column in (
        "MT-Bench",
        "AlpacaEval WR",
        "AlpacaEval 2 WR",
        "Arena-Hard",
        "GSM8K 0-shot CoT",
        "choose",
    ):
        assert column in table


def test_a_judgment_is_stored_with_what_the_judge_was_and_said(finished: Path) -> None:
    (path,) = (finished / "store" / "judgments").glob("mt-bench-judgments-of-ours-*/judgments.jsonl")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(t["reply"].endswith(f"[[{t['value']:.0f}]]") for t in told)
    one = told[0]
    assert (one["model"], one["fingerprint"], one["finish_reason"]) == ("gpt-4-2026", "fp_1", "stop")
    assert (one["prompt_tokens"], one["completion_tokens"], len(one["request"])) == (100, 10, 12)
    of_ours = next(
        j for j in rows(finished, "judging") if (j["method"], j["benchmark"]) == ("ours", "mt-bench")
    )
    assert (of_ours["calls"], of_ours["prompt_tokens"], of_ours["models"]) == (6, 600, ["gpt-4-2026 fp_1"])
    assert of_ours["usd"] == pytest.approx((600 * 30 + 60 * 60) / 1e6)


def test_a_second_run_asks_nothing(world: Path, judge: Running, finished: Path) -> None:
    before, asked = [(finished / "e" / n).read_bytes() for n in DETERMINISTIC], len(judge.requests())
    assert bench(*words(world, judge, finished)).returncode == 0
    assert [(finished / "e" / n).read_bytes() for n in DETERMINISTIC] == before
    assert len(judge.requests()) == asked


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(
    world: Path, judge: Running, finished: Path, tmp_path: Path
) -> None:
    """Of answers that are decoded and of likelihoods; each model's workers are started for each benchmark."""
    done = bench(*words(world, judge, tmp_path), "--workers=2")
    assert done.returncode == 0, done.stderr
    for file in DETERMINISTIC:
        assert (tmp_path / "e" / file).read_bytes() == (finished / "e" / file).read_bytes()


def test_another_judge_needs_no_new_answers(world: Path, judge: Running, finished: Path) -> None:
    again = [w.replace("--judge=gpt-4", "--judge=gpt-4o") for w in words(world, judge, finished, "mt-bench")]
    plan = bench(*again, "--plan").stdout
    todo = [line.split()[1].partition("-")[0] for line in plan.splitlines() if line.startswith("run")]
    assert todo == ["judgments", "judgments"]


def test_tokens_of_a_template_cannot_reach_the_judge(world: Path, judge: Running, finished: Path) -> None:
    """MT-Bench's second turn holds one in its question, as a model may write one in its answer."""
    typed = [p for p in judge.prompts() if "im_end" in p]
    assert typed and not any("<|im_end|>" in p for p in typed)
    of_ours = next(
        j for j in rows(finished, "judging") if (j["method"], j["benchmark"]) == ("ours", "mt-bench")
    )
    assert of_ours["guarded"] == 3
    assert "Template tokens" in (finished / "e" / "tables" / "quality.md").read_text()


def test_a_killed_eval_goes_on_and_asks_nothing_twice(
    world: Path, judge: Running, finished: Path, tmp_path: Path
) -> None:
    said = words(world, judge, tmp_path, "mt-bench,alpaca-eval,arena-hard")
    before = len(judge.prompts())
    judge.answers(before + 8)
    running = bench_command.start(
        *said, "--set=judges.gpt-4.concurrency=1", folder=tmp_path, **{KEY_ENV: KEY}
    )
    running.wait_until(lambda: len(judge.prompts()) - before > 8)  # and it waits for the ninth
    running.process.kill()
    running.process.join()
    judge.answers()
    kept = [p.read_bytes().count(b"\n") for p in tmp_path.glob("store/replies/endpoints/*.jsonl")]
    assert kept == [8]
    assert bench(*said).returncode == 0
    whole = [r for r in rows(finished) if r["benchmark"] in ("mt-bench", "alpaca-eval", "arena-hard")]
    assert [r | {"artifacts": []} for r in rows(tmp_path)] == [r | {"artifacts": []} for r in whole]
    calls = sum(j["calls"] for j in rows(tmp_path, "judging"))
    assert len(judge.prompts()) - before == calls + 1  # the ninth


def test_evaluations_of_a_model_leave_each_other_where_they_are(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    """Other models by the same benchmarks join the rows, other benchmarks or settings are another run."""
    both = [w for w in words(world, judge, tmp_path, "openllm") if w != "--name=e"]
    alone = [w for w in both if w != str(world / "theirs")]

    def measured(name: str) -> set[str]:
        lines = (tmp_path / name / "results.jsonl").read_text().splitlines()
        return {json.loads(line)["method"] for line in lines}

    for command, folder, rows_there in (
        (alone, "eval-ours", {"ours"}),
        (both, "eval-ours", {"ours", "theirs"}),
        ([*alone, "--limit=5"], "eval-ours-2", {"ours"}),
        (alone, "eval-ours", {"ours", "theirs"}),
    ):
        done = bench(*command)
        assert done.returncode == 0, done.stderr
        assert measured(folder) == rows_there


def test_an_endpoint_is_a_model_too(world: Path, judge: Running, tmp_path: Path) -> None:
    said = words(world, judge, tmp_path, "mt-bench,alpaca-eval")
    said[1] = f"served={judge.url}#gpt-x"
    done = bench(*said, "--set=models.served.api_key_env=" + KEY_ENV, "--controls")
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path)
    assert {r["method"] for r in found} == {
        "served", "theirs", "control: constant", "control: empty", "control: copy"
    }  # fmt: skip
    (path,) = (tmp_path / "store" / "answers").glob("mt-bench-answers-of-gpt-x-*/answers.jsonl")
    assert all(
        t.startswith("answer ") for line in path.read_text().splitlines() for t in json.loads(line)["turns"]
    )


def test_an_endpoint_that_moved_is_asked_again_unless_it_is_said_to_be_the_same(
    world: Path, tmp_path: Path
) -> None:
    """And one that is down is what answered there before: nothing is to be asked."""
    tables, asked, before = [], [], ""
    for n, options in enumerate(([], ["--reuse"], [])):
        for server in judging_server.running(tmp_path / f"{n}.jsonl"):
            model = f"x={server.url}#gpt-x"
            data = f"--data=gsm8k-cot={world / 'gsm8k-cot'}"
            said = ["eval", model, "--bench=gsm8k-cot", data, f"--runs={tmp_path}", "--name=e"]
            said += [f"--set=models.x.api_key_env={KEY_ENV}"]
            done = bench(*said, *options)
            assert done.returncode == 0, done.stderr
            told = f"gpt-x at {server.url} is taken for what answered at {before}"
            assert (told in done.stdout) is bool(options)
            asked.append(len(server.requests()))
            before = before or server.url
        tables.append({artifact for r in rows(tmp_path) for artifact in r["artifacts"]})
    assert asked == [2, 0, 2]  # a preflight, and a question that stands there three times
    assert tables[0] == tables[1] != tables[2]
    down = bench(*said)
    assert down.returncode == 0 and "not resolved, taken for what answered there before" in down.stdout


def test_a_name_with_a_slash_is_one_file_of_the_exports(world: Path, judge: Running, tmp_path: Path) -> None:
    said = [
        w.replace("--judge=gpt-4", "--judge=org/gpt-4") for w in words(world, judge, tmp_path, "mt-bench")
    ]
    settings = [f"models.a w/o b.path={world / 'ours'}", "benchmarks.mt-bench.limit=1"]
    done = bench(*said, *(f"--set={s}" for s in settings))
    assert done.returncode == 0, done.stderr
    exports = tmp_path / "e" / "exports" / "mt-bench"
    assert {p.name for p in (exports / "model_answer").iterdir()} == {
        "ours.jsonl", "theirs.jsonl", "a w_o b.jsonl"
    }  # fmt: skip
    assert [p.name for p in (exports / "model_judgment").iterdir()] == ["org_gpt-4_single.jsonl"]


def test_the_budget_stops_before_it_is_passed_and_a_larger_one_goes_on(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    said, before = words(world, judge, tmp_path, "mt-bench"), len(judge.requests())
    stopped = bench(*said, "--max-calls=5")
    assert stopped.returncode == 2 and "--max-calls 5" in stopped.stderr
    assert len(judge.requests()) - before == 5
    assert bench(*said).returncode == 0
    assert len(judge.requests()) - before == (1 + 4) + (1 + 8)  # a preflight each


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"--judge-key-env": "NO_SUCH_KEY_HERE"},
            "wrong key or no access; the key is read from NO_SUCH_KEY_HERE",
        ),
        ({"--judge": "mute"}, "mute at http://127.0.0.1:{port}/v1 gives no log-probs"),
        ({"--judge": "chatty"}, "this judge's likeliest hold none: 'The', 'Based'; choose another judge"),
        ({"--judge-url": "http://127.0.0.1:9/v1"}, "gpt-4 at http://127.0.0.1:9/v1 does not answer"),
        ({"--bench": "mt-bnch"}, "--bench mt-bnch: no such benchmark; did you mean 'mt-bench'?"),
        ({"--data": "alpaca-eval-2=/nowhere"}, "--data alpaca-eval-2=/nowhere: must be BENCHMARK=FOLDER"),
        ({"--data": ""}, "alpaca-eval"),
    ],
)
def test_a_fault_is_one_line_before_any_work(
    world: Path, judge: Running, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    said = words(world, judge, tmp_path, "alpaca-eval-2")
    for option, value in change.items():
        said = [w for w in said if not w.startswith(f"{option}=")] + ([f"{option}={value}"] if value else [])
    done = bench(*said, BENCH_DATA=str(tmp_path / "no-data"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert message.format(port=judge.url.split(":")[2].split("/")[0]) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and KEY not in done.stderr
    assert not list((tmp_path / "store").glob("*/*/RECORD.json"))


def test_likelihoods_of_an_endpoint_are_refused_by_name(world: Path, judge: Running, tmp_path: Path) -> None:
    said = words(world, judge, tmp_path, "openllm")
    said[1:3] = [f"served={judge.url}#gpt-x"]
    done = bench(*said, "--set=models.served.api_key_env=" + KEY_ENV)
    assert done.returncode == 2 and "log-likelihoods" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_estimate_names_calls_tokens_and_money_without_torch() -> None:
    done = bench("run", "adpa-llama", "--estimate")
    assert done.returncode == 0, done.stderr
    for part in ("mt-bench", "alpaca-eval", "gpt-4-turbo", "5,280", "25,760", "total"):
        assert part in done.stdout
    heavy = "not {'torch', 'openai', 'transformers'} & set(sys.modules)"
    code = f"import sys, harness.forecast.judging_estimate; assert {heavy}"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
