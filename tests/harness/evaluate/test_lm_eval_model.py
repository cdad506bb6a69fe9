"""The LM that fans out and keeps: plain lm-eval's numbers, on real rows, from one worker, from two,
from the cache, and after a kill."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.openllm.evaluate import TaskResult, evaluate
from harness.common.tokenizer import load_tokenizer
from harness.evaluate.lm_eval_model import PooledLM
from harness.evaluate.log_likelihoods import batches
from harness.evaluate.log_likelihoods.batches import likelihood_batches
from harness.models import worker_pool
from harness.models.worker_pool import Pool
from harness.store.append_log import AppendOnlyLog
from tests.benchmarks.openllm.leaderboard_rows import World, plain, reader_folder, small_world
from tests.harness.models.tiny_models import WORDS, tiny_folder
from tests.killed import killed_behind

TASKS = {
    "arc_challenge": 25,
    "hellaswag": 10,
    "mmlu_anatomy": 5,
    "truthfulqa_mc2": 0,
    "winogrande": 5,
    "gsm8k": 5,
}
LIMIT = 4
BATCH = 3
KILLED = ("arc_challenge", "gsm8k")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> World:
    return small_world(tmp_path_factory.mktemp("world"), shared_data, 60)


@pytest.fixture(scope="module")
def two(world: World) -> Iterator[Pool]:
    with Pool(world.model, count=2) as pool:
        yield pool


class Run(NamedTuple):
    results: list[TaskResult]
    lm: PooledLM


def measured(pool: Pool, world: World, replies: Path | None, tasks: Sequence[str] = tuple(TASKS)) -> Run:
    lm = PooledLM(pool, BATCH, replies=replies)
    return Run(evaluate(lm, tasks, data=world.data, limit=LIMIT), lm)


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replies")


@pytest.fixture(scope="module")
def alone(world: World, replies: Path) -> Run:
    """All six tasks in this process; every batch is kept in `replies`."""
    return measured(Pool(world.model), world, replies)


@pytest.fixture
def copied(alone: Run, replies: Path, tmp_path: Path) -> Path:
    """A copy of what is kept, to be harmed."""
    return Path(shutil.copytree(replies, tmp_path / "replies"))


def kept_file(replies: Path) -> Path:
    (file,) = replies.rglob("*.jsonl")
    return file


@pytest.mark.parametrize("task", TASKS)
def test_values_and_log_likelihoods_are_plain_lm_evals(
    alone: Run, world: World, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """simple_evaluate in one process, on rows that lie as the hub has them; equal to the last bit."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    samples = plain(world.model, task, world.hub, num_fewshot=TASKS[task], limit=LIMIT)[task]
    found = alone.results[list(TASKS).index(task)]
    read = [s for s in samples if s["filter"] in ("none", "strict-match")]
    assert (found.task, found.num_fewshot, len(found.values)) == (task, TASKS[task], LIMIT)
    assert found.values == {f"{s['doc_id']}-{s['doc_hash'][:8]}": s[found.metric] for s in read}
    for details, sample in zip(found.details.values(), read, strict=True):
        said = [replies[0] for replies in sample["resps"]]
        if task == "gsm8k":
            assert details["generated"] == said
        else:
            assert list(zip(details["loglikelihoods"], details["greedy"], strict=True)) == said
            assert details["choices"] == [arguments[1] for arguments in sample["arguments"]]
        assert details["metrics"] == {metric: sample[metric] for metric in sample["metrics"]}


def test_two_workers_give_the_same_bits(alone: Run, world: World, two: Pool) -> None:
    found = measured(two, world, None)
    assert found.results == alone.results
    assert found.lm.computed == alone.lm.computed > 2 * len(TASKS)


@pytest.fixture
def asked_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits are computed as on a GPU, or where a CPU has no room for all of them."""
    monkeypatch.setattr(batches, "WHOLE", 0)


def test_logits_of_the_asked_positions_alone_give_the_same_but_for_rounding(
    alone: Run, world: World, two: Pool, asked_only: None
) -> None:
    """All six tasks, and the same bits from two workers."""
    found = measured(Pool(world.model), world, None)
    for ours, theirs in zip(found.results, alone.results, strict=True):
        assert ours.values.keys() == theirs.values.keys()
        # What is a probability has its rounding, what is right or wrong none.
        assert list(ours.values.values()) == pytest.approx(list(theirs.values.values()), abs=1e-5)
        for a, b in zip(ours.details.values(), theirs.details.values(), strict=True):
            assert a.get("greedy") == b.get("greedy") and a.get("generated") == b.get("generated")
            # Sums of up to some 100 log-probs of 7 nats, each rounded to 1e-6.
            assert a.get("loglikelihoods", []) == pytest.approx(b.get("loglikelihoods", []), abs=1e-3)
    assert measured(two, world, None).results == found.results


def test_a_half_model_is_near_the_whole_one(alone: Run, world: World) -> None:
    """bfloat16 has 8 bits: of a choice of some 300 nats they leave a few."""
    (found,), _ = measured(Pool(world.model, dtype="bfloat16"), world, None, ["arc_challenge"])
    (whole,) = [r for r in alone.results if r.task == "arc_challenge"]
    for a, b in zip(found.details.values(), whole.details.values(), strict=True):
        assert a["loglikelihoods"] == pytest.approx(b["loglikelihoods"], rel=0.05)
        assert a["loglikelihoods"] != b["loglikelihoods"]


def test_log_likelihoods_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=False)
    model.model.embed_tokens.weight.data[WORDS.index("z")] = torch.nan
    model.save_pretrained(folder)
    lm = PooledLM(Pool(folder), BATCH)
    assert lm.loglikelihood([instance("a", " b"), instance("a", " z")])
    with pytest.raises(ValueError, match="2 log-likelihoods are NaN"):
        lm.loglikelihood([instance("a z", " b"), instance("a z", " c"), instance("a", " c")])


def test_what_is_kept_is_answered_without_the_model(
    alone: Run, world: World, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_load", lambda *_: pytest.fail("a model was loaded"))
    found = measured(Pool(world.model), world, copied)
    assert found.results == alone.results
    assert (found.lm.computed, found.lm.kept) == (0, alone.lm.computed)


def test_half_of_what_was_kept_gives_the_same(alone: Run, world: World, copied: Path) -> None:
    lines = kept_file(copied).read_text().splitlines(keepends=True)
    kept_file(copied).write_text("".join(lines[::2]))
    found = measured(Pool(world.model), world, copied)
    assert found.results == alone.results
    assert (found.lm.kept, found.lm.computed) == (len(lines[::2]), len(lines[1::2]))


def test_a_torn_last_line_is_computed_again(alone: Run, world: World, copied: Path) -> None:
    file = kept_file(copied)
    file.write_bytes(file.read_bytes()[:-5])
    found = measured(Pool(world.model), world, copied, ["gsm8k"])  # the last to be kept
    assert found.results == alone.results[-1:]
    assert (found.lm.kept, found.lm.computed) == (1, 1)
    assert measured(Pool(world.model), world, copied, ["gsm8k"]).lm.computed == 0


def test_another_model_does_not_get_the_numbers_of_the_first(
    alone: Run, world: World, copied: Path, shared_data: Path, tmp_path: Path
) -> None:
    other = reader_folder(tmp_path / "other", shared_data, seed=1)
    (found,), lm = measured(Pool(other), world, copied, ["winogrande"])
    assert lm.kept == 0
    (first,) = [r for r in alone.results if r.task == "winogrande"]
    assert all(
        a["loglikelihoods"] != b["loglikelihoods"]
        for a, b in zip(found.details.values(), first.details.values(), strict=True)
    )


def test_what_is_kept_is_for_one_dtype_batch_size_and_template(world: World) -> None:
    lms = [
        PooledLM(Pool(world.model), BATCH),
        PooledLM(Pool(world.model), BATCH + 1),
        PooledLM(Pool(world.model, dtype="bfloat16"), BATCH),
        PooledLM(Pool(world.model), BATCH, template="{{ messages[-1].content }}", chatting=True),
    ]
    assert len({json.dumps(lm.identity) for lm in lms}) == len(lms)
    assert set(lms[0].identity["versions"]) == {"lm_eval", "torch", "transformers"}


def test_a_run_that_was_killed_goes_on_where_it_was(alone: Run, world: World, tmp_path: Path) -> None:
    """SIGKILL once two batches are on the disk, in the middle of a task."""
    killed_behind(AppendOnlyLog, "add", 2, measured, Pool(world.model), world, tmp_path, KILLED)
    found = measured(Pool(world.model), world, tmp_path, KILLED)
    assert found.results == [r for r in alone.results if r.task in KILLED]
    assert found.lm.kept == 2 and found.lm.computed > 0


def test_batches_are_those_of_lm_evals_collator() -> None:
    """Drawn requests, many of them equal or with one beginning, against the class that HFLM uses."""
    draw = random.Random(0)
    for size in (1, 3, 4, 50):
        asked = [
            (
                [draw.randrange(3) for _ in range(draw.randint(1, 4))],
                [draw.randrange(3) for _ in range(draw.randint(1, 3))],
            )
            for _ in range(60)
        ]
        collator = Collator(
            [(None, *request) for request in asked],
            sort_fn=lambda r: (-len(r[1] + r[2]), tuple(r[1] + r[2])),
            group_by="contexts",
            group_fn=lambda r: r[-2] + r[-1][:-1],
        )
        theirs = [[context + rest for _, context, rest in chunk] for chunk in collator.get_batched(n=size)]
        ours = likelihood_batches(asked, size)
        assert sorted(n for batch in ours for n in batch) == list(range(60))
        # The beginnings that stand in a batch, in order; members of one row share theirs.
        begun = [
            list(dict.fromkeys(tuple((asked[n][0] + asked[n][1])[:-1]) for n in batch)) for batch in ours
        ]
        assert begun == [[tuple(row[:-1]) for row in batch] for batch in theirs]


def instance(*arguments: Any, doc: int = 0) -> Any:
    return SimpleNamespace(args=arguments, task_name="drawn", doc_id=doc)


def engine(folder: Path) -> HFLM:
    return HFLM(
        AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        batch_size=BATCH,
    )


def test_whole_texts_and_cut_prompts_are_hflms_and_the_cut_ones_are_known(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of 48 positions: long texts go through several windows, long prompts lose their beginning."""
    folder = reader_folder(tmp_path / "short", shared_data, positions=48)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)  # what this process has, for both
    theirs, ours = engine(folder), PooledLM(Pool(folder), BATCH)
    draw = random.Random(1)
    texts = ["".join(draw.choices("abcde fgh", k=n)) for n in (3, 200, 40, 120, 7, 500)]
    rolling = [instance(text) for text in texts]
    whole_texts = theirs.loglikelihood_rolling(rolling, disable_tqdm=True)
    assert ours.loglikelihood_rolling(rolling) == whole_texts
    pairs = [instance(text, " end", doc=n) for n, text in enumerate(["", *texts])]
    of_pairs = theirs.loglikelihood(pairs, disable_tqdm=True)
    assert ours.loglikelihood(pairs) == of_pairs
    monkeypatch.setattr(batches, "WHOLE", 0)
    assert ours.loglikelihood_rolling(rolling) == pytest.approx(whole_texts, abs=1e-3)
    assert [x for x, _ in ours.loglikelihood(pairs)] == pytest.approx([x for x, _ in of_pairs], abs=1e-4)
    assert ours.cut == {("drawn", n) for n in (2, 4, 6)}  # of 200, 120 and 500 characters
    how = {"until": ["\n"], "max_gen_toks": 8, "do_sample": False}
    asked = [instance(text, how, doc=10 + n) for n, text in enumerate([*texts, texts[0]])]
    assert ours.generate_until(asked) == theirs.generate_until(asked, disable_tqdm=True)
    assert ours.cut >= {("drawn", n) for n in (11, 13, 15)} and ("drawn", 10) not in ours.cut


def test_a_text_with_a_token_that_the_model_lacks_is_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = reader_folder(tmp_path / "model", shared_data)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    ours = PooledLM(Pool(folder), BATCH)
    assert ours.loglikelihood([instance("a", " b")])
    for ask in (
        lambda: ours.loglikelihood([instance("a <image>", " b")]),
        lambda: ours.tok_encode("<image>"),
    ):
        with pytest.raises(ValueError, match="has no embedding of id 1000, of "):
            ask()


def test_prompts_are_cut_where_the_frequencies_would_change_for_their_batch(
    shared_data: Path, tmp_path: Path
) -> None:
    """What is measured of a prompt is then the same beside any other, and what was cut is counted."""
    folder = reader_folder(tmp_path / "long", shared_data, positions=256)
    about = json.loads((folder / "config.json").read_text())
    half = about["hidden_size"] // about["num_attention_heads"] // 2
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 48}
    about["rope_parameters"] = {**rope, "short_factor": [1.0] * half, "long_factor": [2.0] * half}
    (folder / "config.json").write_text(json.dumps(about))
    pairs = [instance("abc" * n, " end", doc=n) for n in (1, 60, 9)]
    together = (ours := PooledLM(Pool(folder), BATCH)).loglikelihood(pairs)
    assert ours.max_length == 48 and ours.cut == {("drawn", 60)}
    alone = [PooledLM(Pool(folder), BATCH).loglikelihood([pair])[0] for pair in pairs]
    for (a, _), (b, _) in zip(together, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_a_batch_that_comes_again_is_answered_once(world: World) -> None:
    lm = PooledLM(Pool(world.model), BATCH)
    asked = [instance(f"{n} is", " one", doc=n) for n in range(BATCH)]
    first = lm.loglikelihood([*asked, *asked])
    assert first[:BATCH] == first[BATCH:] == lm.loglikelihood(asked)[:BATCH]
    assert lm.computed == 2  # equal requests share a row; the second call's batch has other members


def test_chats_are_those_of_plain_lm_eval(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    lm = PooledLM(Pool(world.model), BATCH, chatting=True)
    (found,) = evaluate(lm, ["gsm8k"], data=world.data, limit=3, num_fewshot=2, chat=True)
    settings = {"apply_chat_template": True, "fewshot_as_multiturn": True}
    samples = plain(world.model, "gsm8k", world.hub, num_fewshot=2, limit=3, **settings)["gsm8k"]
    read = [s for s in samples if s["filter"] == "strict-match"]
    assert [d["generated"] for d in found.details.values()] == [s["resps"][0] for s in read]
    assert "[user]" in read[0]["arguments"][0][0]


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"do_sample": True, "temperature": 0.7}, "drawn draws its answers"),
        ({"max_gen_toks": 5000}, "drawn writes up to 5000 tokens; the model has 4096 positions"),
    ],
)
def test_what_could_not_be_measured_is_refused(world: World, how: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        PooledLM(Pool(world.model), BATCH).generate_until([instance("a", how)])
