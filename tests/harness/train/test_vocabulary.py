"""The vocabulary is what tokenizer and embeddings of a pair all have, from the data to the last loss.

Gemma-3-1B's tokenizer has one id more than its embedding, and the 4B's embedding has 63 rows more than that.
"""

import json
from pathlib import Path

import pytest
import torch

import methods
from harness.data import token_sequences
from harness.data.fitted import NO_EMBEDDING
from harness.data.token_sequences import Sequences
from harness.executors import scheduler
from harness.executors.options import Machine
from harness.models.loading import load
from harness.plan import plan as planning
from harness.run.progress import PlainProgress
from harness.store.array_file import ArrayFile
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.harness.models.tiny_models import WORDS, tiny_folder, tiny_tokenizer
from tests.paths import TINY

EXTRA = [*WORDS, "<image>"]  # what the tokenizer has
PADDED = [*EXTRA, *(f"pad{n}" for n in range(8))]  # rows of an embedding that no tokenizer knows
ALPHA = 0.1


def model(folder: Path, rows: list[str], seed: int) -> Path:
    """A random model with an embedding of so many rows, and the tokenizer of EXTRA."""
    tiny_folder(folder, words=rows, seed=seed)
    tiny_tokenizer(EXTRA).save_pretrained(folder)
    return folder


def data(file: Path) -> Path:
    """Eight pairs, in one of which stands the token that some models have no embedding of."""
    rows = [{"prompt": p, "chosen": f"{p} b c", "rejected": f"d {p}"} for p in "efghijkl"]
    rows[2]["rejected"] = "a <image> b"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def made(folder: Path, student: list[str], teacher: list[str], methods_: str) -> dict[str, Path]:
    """The folders of the steps of a run by their labels, the outside models as `a` and `b`."""
    a, b, rows = model(folder / "a", student, 0), model(folder / "b", teacher, 1), data(folder / "rows.jsonl")
    overrides = [
        f"pairs={{p: {{student: {{base: {a}}}, teacher: {{base: {b}}}}}}}",
        f"datasets={{d: {{preference: {{path: {rows}}}}}}}",
        "benchmarks={}",
        "training={lr: 1e-3, epochs: 1, batch_size: 16}",
        f"methods={methods_}",
    ]
    plan = planning.plan(suites.load(TINY, overrides), methods.registry(), Machine())
    store = Store(folder / "store")
    scheduler.run(plan.steps, store, PlainProgress(len(plan.steps)))

    def folder_of(step: Step) -> Path:
        found = store.find(step)
        assert found
        return found

    return {step.label: folder_of(step) for step in plan.steps} | {"a": a, "b": b}


def logprobs(folder: Path, ids: list[int], vocab: int) -> torch.Tensor:
    """Of each next token among the first `vocab` ids, in float64. [T - 1, vocab]"""
    with torch.no_grad():
        logits = load(folder)(torch.tensor([ids])).logits[0, :-1, :vocab]
    return logits.double().log_softmax(-1)


@pytest.mark.parametrize(
    ("student", "teacher", "vocab"),
    [(WORDS, PADDED, 31), (PADDED, WORDS, 31), (WORDS, WORDS, 31), (PADDED, EXTRA, 32)],
    ids=["small student", "small teacher", "both small", "padded"],
)
def test_a_loss_runs_over_the_ids_that_all_models_have(
    student: list[str], teacher: list[str], vocab: int, tmp_path: Path
) -> None:
    """DCKD's terms before the first step, from both models' own logits over these ids."""
    found = made(tmp_path, student, teacher, f"{{DCKD: {{alpha: {ALPHA}}}}}")
    pairs = found["train pairs"]
    dropped = json.loads((pairs / "RECORD.json").read_text())["measured"]["dropped"]
    assert dropped == ({NO_EMBEDDING: 1} if vocab == 31 else {})
    assert token_sequences.common_vocabulary(len(EXTRA), pairs / "chosen") == vocab

    told = json.loads((found["DCKD"] / "training.json").read_text())["before"]
    for side in ("chosen", "rejected"):
        sequences, kl, nll = Sequences(pairs / side), [], []
        for i in range(len(sequences)):
            ids, mask = sequences[i].ids, torch.tensor(sequences[i].mask[1:])
            p, q = (logprobs(found[who], ids, vocab)[mask] for who in ("b", "a"))
            kl.append((p.exp() * (p - q)).sum(-1))
            nll.append(-q.gather(-1, torch.tensor(ids)[1:][mask][:, None])[:, 0])
        assert told[f"kd_{side}"] == pytest.approx(ALPHA * float(torch.cat(kl).mean()), rel=1e-5)
        if side == "chosen":
            assert told["sft"] == pytest.approx(float(torch.cat(nll).mean()), rel=1e-5)


def test_what_a_teacher_writes_and_its_top_k_hold_no_id_that_the_student_lacks(tmp_path: Path) -> None:
    """Its own head has nine columns more, which a random model draws as often as any."""
    found = made(tmp_path, WORDS, PADDED, "{SeqKD: {}, ADPA: {support: 30}, WPO: {}}")
    rollouts = Sequences(found["rollouts of model b"])
    assert max(max(rollouts[i].ids) for i in range(len(rollouts))) < 31
    top = ArrayFile(found["topk of model b on rollouts of model a"], "ids").all()
    assert top.shape[1] == 30 and top.max() < 31
    for name in ("SeqKD", "ADPA", "WPO"):
        assert json.loads((found[name] / "training.json").read_text())["steps"] == 1
