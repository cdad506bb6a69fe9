"""The lm-eval adapter against plain lm-eval and against log-softmax sums, on a tiny random model."""

import json
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

import lm_eval.tasks
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.openllm.evaluate import evaluate
from benchmarks.openllm.tasks import V1, check, expand
from tests.benchmarks.openllm.leaderboard_rows import data_folder, hub_folder, reader_folder
from tests.benchmarks.openllm.leaderboard_rows import plain as hub_samples
from tests.benchmarks.openllm.small_tasks import GENERATION, MULTIPLE_CHOICE, WORDS, choices, write_rows


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(
        models.WordLevel({w: n for n, w in enumerate(["<unk>", "<s>", "</s>", *WORDS])}, "<unk>")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.5,  # far from uniform, so that answers differ
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def tasks(tmp_path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder of two tasks; half of the sought generations are what the model writes."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "choose.yaml").write_text(MULTIPLE_CHOICE)
    (folder / "write.yaml").write_text(GENERATION)
    write_rows(folder / "choose.jsonl", choices(1))
    write_rows(folder / "choose_train.jsonl", choices(2))
    rows = []
    for n, row in enumerate(choices(3, 11)):
        ids = tokenizer(row["question"], return_tensors="pt").input_ids
        written = model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        answer = tokenizer.decode(written, skip_special_tokens=True).split("w1")[0].replace(" ", "")
        rows.append({"question": row["question"], "answer": answer if n % 2 else "w0"})
    write_rows(folder / "write.jsonl", rows)
    return folder


def plain(model: Any, tokenizer: Any, names: list[str], folder: Path, **settings: Any) -> dict[str, Any]:
    """The samples of lm_eval.simple_evaluate, called from the tasks' own folder."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    here = Path.cwd()
    os.chdir(folder)
    try:
        found = lm_eval.simple_evaluate(
            HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4),
            tasks=names,
            task_manager=TaskManager(include_path=[str(folder)], include_defaults=False),
            bootstrap_iters=0,
            **settings,
        )
    finally:
        os.chdir(here)
    samples: dict[str, Any] = found["samples"]
    return samples


def reader(model: Any, tokenizer: Any) -> Any:
    """lm-eval's own LM on the model in memory."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)


def by_document(samples: list[dict[str, Any]], metric: str, filter: str = "none") -> dict[str, float]:
    return {f"{s['doc_id']}-{s['doc_hash'][:8]}": s[metric] for s in samples if s["filter"] == filter}


@pytest.mark.parametrize("shots", [0, 2])
def test_values_are_those_of_plain_lm_eval(model: Any, tokenizer: Any, tasks: Path, shots: int) -> None:
    expected = plain(model, tokenizer, ["choose"], tasks, num_fewshot=shots)["choose"]
    (found,) = evaluate(reader(model, tokenizer), ["choose"], tasks, num_fewshot=shots)
    assert found.values == by_document(expected, "acc_norm")
    assert (found.task, found.version, found.num_fewshot, found.metric) == (
        "choose",
        "1.5",
        shots,
        "acc_norm",
    )
    assert len(found.values) == 23
    assert 0 < found.mean < 1


def test_generations_are_read_with_the_strict_filter(model: Any, tokenizer: Any, tasks: Path) -> None:
    expected = plain(model, tokenizer, ["write"], tasks)["write"]
    (found,) = evaluate(reader(model, tokenizer), ["write"], tasks)
    assert found.values == by_document(expected, "exact_match", "strict-match")
    assert found.values != by_document(expected, "exact_match", "loose")
    assert found.mean > 0


def test_multiple_choice_is_the_largest_log_softmax_sum_per_character(
    model: Any, tokenizer: Any, tasks: Path
) -> None:
    expected = []
    for row in map(json.loads, (tasks / "choose.jsonl").read_text().splitlines()):
        context = tokenizer(row["question"]).input_ids
        scores = []
        for choice in row["choices"]:
            ids = torch.tensor([context + tokenizer(choice).input_ids])
            with torch.no_grad():
                logprobs = model(ids).logits.log_softmax(-1)[0, :-1]
            token_logps = logprobs.gather(-1, ids[0, 1:, None]).squeeze(-1)
            scores.append(float(token_logps[len(context) - 1 :].sum()) / len(choice))
        expected.append(float(int(np.argmax(scores)) == row["gold"]))
    (found,) = evaluate(reader(model, tokenizer), ["choose"], tasks)
    assert list(found.values.values()) == expected


def test_a_tag_is_all_its_tasks_and_limit_takes_the_first_documents(
    model: Any, tokenizer: Any, tasks: Path
) -> None:
    found = evaluate(reader(model, tokenizer), ["pocket"], tasks, limit=5)
    whole = evaluate(reader(model, tokenizer), ["choose", "write"], tasks)
    assert [r.task for r in found] == ["choose", "write"]
    for part, full in zip(found, whole, strict=True):
        assert list(part.values.items()) == list(full.values.items())[:5]


def test_new_rows_under_an_old_name_are_read(model: Any, tokenizer: Any, tasks: Path) -> None:
    (before,) = evaluate(reader(model, tokenizer), ["choose"], tasks)
    stamp = (tasks / "choose.jsonl").stat()
    rows = [row | {"gold": (row["gold"] + 1) % 4} for row in choices(1)]  # as many bytes
    write_rows(tasks / "choose.jsonl", rows)
    os.utime(tasks / "choose.jsonl", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (after,) = evaluate(reader(model, tokenizer), ["choose"], tasks)
    assert (tasks / "choose.jsonl").stat().st_size == stamp.st_size
    assert not set(before.values) & set(after.values)


def test_a_run_leaves_nothing_behind(
    model: Any, tokenizer: Any, tasks: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import datasets
    import lm_eval.api.task

    langdetect, nltk = pytest.importorskip("langdetect"), pytest.importorskip("nltk")

    def state() -> tuple[Any, ...]:
        root, logger = logging.getLogger(), logging.getLogger("lm_eval")
        logs = (root.level, root.handlers[:], logger.level, logger.handlers[:], logger.propagate)
        draws = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        bars = (lm_eval.api.task.tqdm, datasets.utils.are_progress_bars_disabled())
        tools = (list(nltk.data.path), langdetect.DetectorFactory.seed)
        return logs, draws, bars, tools

    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    lm = reader(model, tokenizer)
    capfd.readouterr()  # what building it said
    before, files = state(), sorted(tmp_path.rglob("*"))
    evaluate(lm, ["choose", "write"], tasks)
    assert state() == before
    assert sorted(tmp_path.rglob("*")) == files
    assert capfd.readouterr() == ("", "")


def test_a_cut_prompt_is_worth_a_line(
    model: Any, tokenizer: Any, tasks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = choices(1)
    write_rows(tasks / "choose.jsonl", [rows[0] | {"question": "w1 " * 1100}, *rows[1:]])
    evaluate(reader(model, tokenizer), ["choose"], tasks)
    assert [r.message for r in caplog.records if r.name == "benchmarks.openllm.evaluate"] == [
        "choose: 4 prompts or batches lost their beginning, too long for the model"
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chose", "did you mean 'choose'"),
        ("arc_chalenge", "did you mean 'arc_challenge'"),
        ("?", "known: choose"),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest(tasks: Path, name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"no task .*; {hint}"):
        evaluate(None, ["choose", name], tasks)


def test_what_lm_eval_would_take_in_silence_is_refused(model: Any, tokenizer: Any, tasks: Path) -> None:
    """Examples drawn from the documents under test, and a limit of 0, which means all."""
    with pytest.raises(ValueError, match="write: 3-shot needs a training split; use num_fewshot=0"):
        evaluate(reader(model, tokenizer), ["write"], tasks, num_fewshot=3)
    with pytest.raises(ValueError, match="1 or more, not 0"):
        evaluate(reader(model, tokenizer), ["choose"], tasks, limit=0)


def test_arc_challenge_on_local_rows_is_lm_evals_own(
    model: Any, tokenizer: Any, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same task by the other road: a YAML override, read through the cache of `datasets`."""
    import datasets
    import lm_eval

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = shared_data / "openllm"
    arc = Path(lm_eval.__file__).parent / "tasks/arc/arc_challenge.yaml"
    files = {split: str(data / f"arc_challenge_{split}.jsonl") for split in ("train", "validation", "test")}
    (tmp_path / "arc.yaml").write_text(
        f"include: {arc}\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs: {json.dumps({'data_files': files})}\n"
    )
    for shots in (0, 2):
        expected = plain(model, tokenizer, ["arc_challenge"], tmp_path, num_fewshot=shots, limit=20)
        (found,) = evaluate(
            reader(model, tokenizer), ["arc_challenge"], data=data, limit=20, num_fewshot=shots
        )
        assert found.values == by_document(expected["arc_challenge"], "acc_norm")
        assert (found.num_fewshot, len(found.values)) == (shots, 20)


def test_details_hold_what_the_model_said_of_each_document(model: Any, tokenizer: Any, tasks: Path) -> None:
    expected = plain(model, tokenizer, ["choose"], tasks, limit=7)["choose"]
    choose, write = evaluate(reader(model, tokenizer), ["choose", "write"], tasks, limit=7)
    for sample, (document, said) in zip(expected, choose.details.items(), strict=True):
        assert said["choices"] == [f" {choice}" for choice in sample["doc"]["choices"]]
        assert said["target"] == sample["doc"]["gold"]
        assert list(zip(said["loglikelihoods"], said["greedy"], strict=True)) == [
            r[0] for r in sample["resps"]
        ]
        assert said["metrics"] == {"acc": sample["acc"], "acc_norm": choose.values[document]}
    assert len(choose.details) == len(write.details) == 7
    expected = plain(model, tokenizer, ["write"], tasks, limit=7)["write"]
    strict = [s for s in expected if s["filter"] == "strict-match"]
    assert [d["generated"] for d in write.details.values()] == [s["resps"][0] for s in strict]
    json.dumps([dict(choose.details), dict(write.details)])


def test_a_folders_own_task_may_have_the_name_of_a_set(tasks: Path) -> None:
    assert expand(["v1", "choose", "gsm8k"], tasks) == [*V1, "choose"]
    (tasks / "v1.yaml").write_text(MULTIPLE_CHOICE.replace("task: choose", "task: v1"))
    assert expand(["v1", "choose"], tasks) == ["v1", "choose"]


@pytest.mark.parametrize(
    "text",
    [
        MULTIPLE_CHOICE.replace("test: choose.jsonl", "test: ../elsewhere.jsonl"),
        "include: ../elsewhere.yaml\ntask: choose\n",
        "include: part/below.yaml\ntask: choose\n",
        "include: [../elsewhere.yaml]\ntask: choose\n",
        "include:\n  - ../elsewhere.yaml\ntask: choose\n",
    ],
)
def test_a_task_that_reads_beyond_its_folder_is_refused(tasks: Path, text: str) -> None:
    """What is read there would be in no step's id; lm-eval's own tasks may be included."""
    (tasks / "part").mkdir()
    (tasks / "part" / "below.yaml").write_text("include: ../../elsewhere.yaml\n")
    (tasks.parent / "elsewhere.yaml").write_text(MULTIPLE_CHOICE)
    shutil.copyfile(tasks / "choose.jsonl", tasks.parent / "elsewhere.jsonl")
    (tasks / "choose.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"choose: reads .*elsewhere.*, which is not below .*; put it there"):
        check(["choose"], tasks)

    arc = Path(lm_eval.tasks.__file__).parent / "arc" / "arc_challenge.yaml"
    (tasks / "choose.yaml").write_text(f"include: {arc}\n{MULTIPLE_CHOICE}")
    check(["choose"], tasks)


def test_a_fault_is_told_before_anything_runs(tasks: Path, tmp_path: Path) -> None:
    """One line each; and what is right passes."""
    check(["pocket"], tasks)
    write_rows(tmp_path / "arc_challenge_test.jsonl", [])
    faults: list[tuple[str, dict[str, Any]]] = [
        ("no task 'chose'; did you mean 'choose'", {"tasks": ["chose"], "include": tasks}),
        ("include: no folder", {"tasks": ["choose"], "include": tasks / "absent"}),
        (r"winogrande: no .*winogrande_xl_validation", {"tasks": ["winogrande"], "data": tmp_path}),
        (
            r"arc_challenge: 25-shot needs a training split \(arc_challenge_train.jsonl is not in",
            {"tasks": ["arc_challenge"], "data": tmp_path},
        ),
        (
            "choose needs log-likelihoods, which an endpoint does not give; those that do not: write",
            {"tasks": ["choose", "write"], "include": tasks, "endpoint": True},
        ),
    ]
    for line, given in faults:
        with pytest.raises(ValueError, match=line) as fault:
            check(**given)
        assert "\n" not in str(fault.value)
    check(["arc_challenge"], data=tmp_path, num_fewshot=0)
    check(["write"], tasks, endpoint=True)
    (tasks / "choose.jsonl").unlink()
    with pytest.raises(ValueError, match=r"choose: no .*choose.jsonl"):
        check(["choose"], tasks)


def test_rows_that_only_the_hub_has_are_missed_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No server stands at the address of the hub."""
    from datasets import config
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for owner, name in ((constants, "HF_HUB_CACHE"), (config, "HF_DATASETS_CACHE")):
        monkeypatch.setattr(owner, name, str(tmp_path))
    with pytest.raises(ValueError, match=r"^leaderboard_gpqa_diamond: its rows, Idavidrein/gpqa, are not in"):
        check(["leaderboard_gpqa"], data=tmp_path)
    with pytest.raises(ValueError, match="or give a folder as `data`"):
        check(["winogrande"])
    (tmp_path / "datasets--Idavidrein--gpqa").mkdir()
    check(["leaderboard_gpqa"])


@pytest.mark.slow
def test_the_whole_leaderboard_runs_on_local_rows(shared_data: Path, tmp_path: Path) -> None:
    """All rows, all 57 subjects, the step as a plan runs it, with two workers; against plain lm-eval."""
    import datasets

    from harness.evaluate.openllm import TASKS, run

    data = data_folder(tmp_path / "data", shared_data)
    model, hub = reader_folder(tmp_path / "model", shared_data), hub_folder(tmp_path / "hub", data)
    settings = {"tasks": ["v1"], "batch_size": 3, "num_fewshot": None, "limit": 2, "chat": False}
    (tmp_path / "out").mkdir()
    told = run(
        TASKS.work(
            settings, {"model": model, "data": data}, tmp_path / "out", {"device": "cpu", "workers": 2}
        )
    )
    assert list(told["scores"]) == list(V1) and set(told["averages"]) == {"v1"}
    rows = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    details = [json.loads(line) for line in (tmp_path / "out/details.jsonl").read_text().splitlines()]
    assert len(rows) == len(details) == told["documents"] == 2 * (5 + 57)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        for name, board in V1.items():
            samples = hub_samples(model, name, hub, num_fewshot=board.num_fewshot, limit=2)
            for task, read in samples.items():
                read = [s for s in read if s["filter"] in ("none", "strict-match")]
                ours = [r for r in rows if r["task"] == task]
                assert {(r["metric"], r["num_fewshot"]) for r in ours} == {(board.metric, board.num_fewshot)}
                assert [r["value"] for r in ours] == [s[board.metric] for s in read]
                said = [d.get("generated") or d["loglikelihoods"] for d in details if d["task"] == task]
                plainly = [[r[0] if name == "gsm8k" else r[0][0] for r in s["resps"]] for s in read]
                assert said == plainly


@pytest.mark.slow
def test_hellaswag_without_its_training_split_is_refused(shared_data: Path) -> None:
    with pytest.raises(
        ValueError, match=r"hellaswag: 10-shot needs a training split \(hellaswag_train.jsonl is"
    ):
        check(["hellaswag"], data=shared_data / "openllm")
