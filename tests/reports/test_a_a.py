"""One method under two names: another run of itself is told from it no more often than by chance."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from reports.records import run_folder
from reports.records.groups import grouped
from reports.records.rows import Record
from reports.statistics.planning import ALPHA
from reports.tables import columns, pairwise_tests
from tests.bench_command import COMMAND, ENV
from tests.paths import ROOT, TINY

REPEATS, SEEDS = 20, 5
# Models that answer some questions right: of the tiny suite's own every answer is wrong, all rows are equal.
SETTINGS = (
    f"seeds={list(range(REPEATS * 2 * SEEDS))}",
    "world={animals: 8, people: 8, pretrain: 3000, sft: 1500, pairs: 300, validation_pairs: 24, "
    "questions: 40, mt_questions: 24}",
    "pairs.tiny.student={base: {hidden: 32, layers: 1, heads: 2, ffn: 64, rope_theta: 100}, "
    "pretrain: {lr: 8e-3, epochs: 1, batch_size: 16}, sft: {lr: 5e-3, epochs: 1, batch_size: 16}}",
    *(f"benchmarks.{name}.max_tokens=24" for name in ("mt-bench", "alpaca-eval", "rule")),
    "benchmarks.alpaca-eval.reference=Teacher",
    "methods.SFT.training={lr: 5e-3, epochs: 1}",
)


def renamed(records: list[Record], repeat: int) -> list[Record]:
    """The records of ten seeds: those of the first five as A's, the others as B's."""
    first = 2 * SEEDS * repeat
    names = {first + k: "A" if k < SEEDS else "B" for k in range(2 * SEEDS)}
    return [replace(r, method=names[r.seed]) for r in records if r.seed in names]


@pytest.mark.slow
def test_a_method_is_told_from_itself_as_often_as_by_chance(tmp_path: Path) -> None:
    """200 trainings of SFT with seeds of their own, five as A against five as B, 20 times: some minutes."""
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["run", TINY, "--runs", str(tmp_path), "--only", "SFT", "--name", "tiny", *words]
    subprocess.run([*COMMAND, *words], cwd=ROOT, env=ENV, check=True, capture_output=True)
    rows = run_folder.read(tmp_path / "tiny")
    own = [r for r in rows.records if r.method == "SFT"]
    assert len({r.artifacts[0] for r in own}) == len({r.seed for r in own}) == REPEATS * 2 * SEEDS

    ps: dict[str, list[float]] = {}
    for repeat in range(REPEATS):
        groups = grouped(renamed(own, repeat), rows.benchmarks)
        for column in columns.find(groups, groups.benchmarks):
            if not column.is_summary:
                found = pairwise_tests.tested(column, "pocket", ["A", "B"])
                assert found is not None
                name = f"{column.source.benchmark.name} {column.source.column.metric}"
                ps.setdefault(name, []).append(found.adjusted["A", "B"])
    told = {name: sum(p < ALPHA for p in of) for name, of in ps.items()}
    assert sum(min(of) < 0.9 for of in ps.values()) >= 4, ps  # columns in which the two ever differ
    assert max(told.values()) <= 3, told
    # Of all benchmarks together, as if they were independent: more than that is seen once in 100 studies.
    assert sum(told.values()) <= stats.binom.ppf(0.99, REPEATS * len(told), ALPHA), told
