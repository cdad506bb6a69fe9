"""What a run counts of what was lost, and the line that stands under its tables."""

import json
import shutil
from pathlib import Path

from benchmarks.openllm.evaluate import documents
from harness.models.prepare import LINK
from harness.results.health import counts
from harness.results.health.overlap import OVERLAP, OverlapInputs, OverlapSettings
from harness.store.integrity import CHECKSUM, RECORD, checksum
from harness.store.step import NoInputs, Part, Step
from harness.store.store import Store
from reports.records import run_folder
from reports.records.groups import grouped
from reports.tables.health import NOT_COUNTED, health
from tests.bench_command import bench
from tests.paths import TINY

# 160 dialogues, 96 pairs, 24 held-out pairs and two sets of 96 rollouts; of 7 rows 8 + 16 answers.
LINE = (
    "health: rows dropped 0 of 472; rows truncated 192 of 472; answers truncated {} of 168; answers "
    "without their thoughts 0 of 168; answers refused, filtered or empty 0 of 168; empty answers judged {} "
    "of 168; prompts cut 0 of 112; judgments refused or without an answer 0 of 358; judgments unparsed 0 of "
    "358; answers that repeat themselves {} of 224; sets of answers that collapsed {} of 14; trainings that "
    "exploded 0 of 10; questions half-judged 0 of 112; artifacts recomputed 0; training prompts that "
    "overlap with mt-bench "
)


def test_the_line_stands_under_every_table_and_says_zeros(tiny_run: Path) -> None:
    out = tiny_run / "tiny"
    rows = run_folder.read(out)
    line = health(rows.counts, grouped(rows.records, rows.benchmarks))
    names = "answers truncated ", "answers judged ", "repeat themselves ", "that collapsed "
    drawn = [line.split(name)[1].split()[0] for name in names]
    assert line.startswith(LINE.format(*drawn))
    assert line.endswith(" of 256") and ", openllm 0 of 256" in line

    for path in (out / "tables").glob("*.md"):
        text = path.read_text()
        assert text.count("- health: rows dropped") == text.count("### "), path.name
    assert (out / "report.html").read_text().count("health: rows dropped") >= 7
    shown = bench("compare", "tiny", "--baseline", "DPO", "--runs", str(tiny_run)).stdout
    assert "health: rows dropped 0 of 472" in " ".join(shown.split())


def test_a_run_of_before_is_told_as_not_counted(copied: Path) -> None:
    (copied / "tiny" / "counts.jsonl").unlink()
    done = bench("report", "tiny", "--table", "main", "--format", "md", "--runs", str(copied))
    assert NOT_COUNTED in done.stdout


def test_trainings_that_kept_no_norms_are_not_counted_among_those_that_did_not_explode(copied: Path) -> None:
    folder = next((copied / "store" / "train").glob("dckd-*"))
    record = json.loads((folder / RECORD).read_text())
    del record["measured"]["grad_norm"]
    (folder / RECORD).write_text(json.dumps(record | {CHECKSUM: checksum(record)}))
    shown = bench("run", TINY, "--runs", str(copied)).stdout
    assert "trainings that exploded not counted; " in " ".join(shown.split())


def test_what_a_suite_counts_overlaps_by_is_needed_by_it(copied: Path) -> None:
    """Beside the steps of its plan."""
    told = bench("store", "gc", "--keep", TINY, "--runs", str(copied))
    assert list(copied.glob("store/overlap/*")) and told.stdout == "0 folders to remove; --yes removes them\n"


def test_training_prompts_that_are_questions_are_counted(copied: Path, tmp_path: Path) -> None:
    """Two of the training prompts as questions, and one that no row has; the dialogues hold them as well."""
    store, data = Store(copied / "store"), tmp_path / "alpaca"
    prompts = [
        json.loads(line)["prompt"][0]["content"]
        for line in next(store.root.glob("pairs/train-*/prompts.jsonl")).read_text().splitlines()
    ]
    world = next(store.root.glob("world/*"))
    dialogues = [
        [m["content"] for m in json.loads(line)["messages"] if m["role"] == "user"]
        for line in (world / "sft.jsonl").read_text().splitlines()
    ]
    asked = [min(prompts, key=len), dialogues[0][0], "what is the colour of nobody ?"]
    data.mkdir()
    rows = [{"id": str(i), "instruction": text, "category": "x"} for i, text in enumerate(asked)]
    (data / "questions.json").write_text(json.dumps(rows))

    def found(kind: str, name: str) -> Step:
        """The finished step of that folder, as an input."""
        (folder,) = store.root.glob(f"{kind}/{name}-*")
        step = LINK.step(name, LINK.settings("data", name), NoInputs(), {"path": "of-the-hub"})
        copy = shutil.copytree(folder, store.root / "link" / f"{name}-{step.id}")
        record = json.loads((copy / RECORD).read_text()) | {"id": step.id}
        (copy / RECORD).write_text(json.dumps(record | {CHECKSUM: checksum(record)}))
        return step

    link = LINK.step("data", LINK.settings("data", "new"), NoInputs(), {"path": str(data)})
    store.make(link)
    inputs = OverlapInputs(
        found("pairs", "train"), Part(found("world", "pocket"), "tokenizer"), {"0": found("dialogues", "sft")}
    )
    settings = OverlapSettings("alpaca-eval", {"limit": None, "max_tokens": None})
    step = OVERLAP.step("x", settings, OverlapInputs(**{**vars(inputs), "data": Part(link, "files")}))
    measured = store.record(store.make(step))["measured"]

    (data / "questions.json").write_text("[")
    lost = OVERLAP.step("x", OverlapSettings("alpaca-eval", {"limit": 1}), step.inputs)
    uncounted = counts._found(lost, store)
    assert uncounted["count"] is None and "questions.json" in uncounted["note"]

    all_prompts = [[p] for p in prompts] + dialogues
    assert measured == {
        "n": 8,
        "prompts": 256,
        "overlapping": sum(bool({*texts} & {*asked}) for texts in all_prompts),
        "questions": 3,
        "found": 2,
    }
    assert measured["overlapping"] >= 2


def test_what_lm_evals_documents_ask_is_read_as_lm_eval_does(tiny_run: Path) -> None:
    (include,) = (tiny_run / "store").glob("world/*/test/openllm")
    rows = [json.loads(line) for line in (include / "pocket_facts.jsonl").read_text().splitlines()]

    assert documents(["pocket_facts"], include, None, 3) == [row["context"] for row in rows[:3]]


def test_what_documents_of_a_leaderboard_ask(shared_data: Path) -> None:
    """ARC's template gives a question, which lm-eval would read as a Python literal."""
    asked = documents(("arc_challenge",), None, shared_data / "openllm", 2)
    assert len(asked) == 2 and asked[0].startswith("Question: An astronomer observes that a planet rotates")
