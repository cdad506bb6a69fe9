"""Reports know benchmarks by what a run says of them: under another name each gets all that it had."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from reports import build as run
from reports.page import page
from reports.records import run_folder
from reports.records.benchmarks import DEFAULT, Benchmark, Benchmarks
from reports.records.merge import merged
from reports.records.rows import Judging, Summary
from reports.records.run_folder import Rows
from reports.render import to_csv, to_markdown
from tests.paths import ROOT
from tests.reports.page import page_run
from tests.reports.page.page_run import METHODS, OF, record

PREFIX = "zqx-"  # the same for all, so that what is sorted by name stays in order


def measured(b: Benchmark) -> Rows:
    """Rows for whatever a benchmark declares; its two groups are tasks, categories or checkpoints."""
    records, summaries = [], []
    groups = list(b.tasks.titles)[:2] if b.tasks else ["math", "writing"]
    judged = {} if b.tasks else {"judge": "rule", "reference": "ADPA"}
    for place, method in enumerate(METHODS):
        for q in range(6):
            value = float((place + q) % 2)
            more = {"group": groups[q % 2], "truncated": q == 1, "tokens": 4, **judged}
            metrics = [c.metric for c in b.columns if c.aggregate == "mean"]
            records += [record(method, b.name, metric, str(q), value, **more) for metric in metrics]
            if b.checkpoint_metric:
                records.append(
                    record(method, b.name, b.checkpoint_metric, str(q), value, group=str(10 * (q % 2)))
                )
        numbers = {f"{b.categories.prefix}{g}": 5.0 for g in groups} if b.categories else {}
        for c in (c for c in b.columns if c.aggregate == "summary"):
            names = [f"{c.parts}{g}" for g in groups] if c.parts else [c.metric, *(c.bounds or ()), c.count]
            numbers |= {name: 0.1 * (place + n) for n, name in enumerate(names)}
        numbers |= dict.fromkeys(b.flags, float(place % 2)) | {"n": 6.0, "mean_length": 11.0}
        variant = (judged.get("judge", ""), judged.get("reference", ""))
        summaries += [Summary(*OF, method, 0, b.name, *variant, name, v) for name, v in numbers.items()]
    return Rows(records=records, summaries=summaries)


def whole() -> Rows:
    """A run on every benchmark, with costs, judgments and what training changed."""
    rows, parts = page_run.rows(), [measured(b) for b in DEFAULT]
    spent = {"judgments": 6, "unparsed": 1, "guarded": 0, "calls": 6, "usd": 0.1, "models": ()}
    spent |= {"prompt_tokens": 9, "completion_tokens": 3}
    judging = [Judging(*OF, m, 0, b.name, "gpt", "", **spent) for m in METHODS for b in DEFAULT]
    return rows._replace(
        records=[r for part in parts for r in part.records],
        summaries=[s for part in parts for s in part.summaries],
        judging=judging,
    )


def declared(benchmarks: Benchmarks) -> Benchmarks:
    """The same under other names and titles."""
    return Benchmarks(
        tuple(
            b.model_copy(
                update={
                    "name": PREFIX + b.name,
                    "title": PREFIX + b.title,
                    "family": b.family and PREFIX + b.family,
                    "columns": tuple(c.model_copy(update={"title": PREFIX + c.title}) for c in b.columns),
                }
            )
            for b in benchmarks
        )
    )


def renamed(rows: Rows) -> Rows:
    return rows._replace(
        records=[replace(r, benchmark=PREFIX + r.benchmark) for r in rows.records],
        summaries=[replace(s, benchmark=PREFIX + s.benchmark) for s in rows.summaries],
        judging=[replace(j, benchmark=PREFIX + j.benchmark) for j in rows.judging],
        benchmarks=declared(rows.benchmarks),
    )


def texts(rows: Rows) -> dict[str, str]:
    """Every table as text, by name, and the paper's beside them."""
    tables = {**run.build(rows), "beside": run.beside(rows)}
    return {name: "\n".join(to_csv(t) + to_markdown(t) for t in parts) for name, parts in tables.items()}


def test_every_table_is_the_same_but_for_names() -> None:
    before, after = texts(whole()), texts(renamed(whole()))
    assert {"main", "pad", "comparison", "direction", "beside", "summaries"} <= set(before)
    assert {name: text.replace(PREFIX, "") for name, text in after.items()} == before
    assert all(PREFIX in after[name] for name in ("main", "pad", "comparison", "beside", "quality"))


def test_the_page_with_its_figures_and_links_is_the_same_but_for_names() -> None:
    rows, said = whole(), page_run.texts()
    before = page.render(rows, said)
    assert "Alignment tax" in before and "MT-Bench by category" in before
    assert "Reward of checkpoints" in before and 'href="#bench=alpaca-eval' in before
    again = [replace(t, benchmark=PREFIX + t.benchmark) for t in said]
    assert page.render(renamed(rows), again).replace(PREFIX, "") == before


@pytest.mark.parametrize("name", ["main", "summaries", "comparison", "pad", "beside"])
def test_a_clone_beside_its_original_has_the_same_cells(name: str) -> None:
    rows = whole()._replace(judging=[])
    clone = renamed(rows)
    both = rows._replace(
        records=[*rows.records, *clone.records],
        summaries=[*rows.summaries, *clone.summaries],
        benchmarks=Benchmarks((*rows.benchmarks, *clone.benchmarks)),
    )

    def cells(rows: Rows) -> list[list[str]]:
        tables = {**run.build(rows), "beside": run.beside(rows)}[name]
        return sorted(row for t in tables for row in csv.reader(to_csv(t).splitlines()[1:]))

    alone = [row for row in cells(rows) if not row[2].startswith("published.")]
    twice = [row for row in cells(both) if not row[2].startswith("published.")]
    assert alone
    assert sorted([part.replace(PREFIX, "") for part in row] for row in twice) == sorted(alone * 2)


def test_a_run_says_what_its_benchmarks_are_and_one_that_does_not_has_todays(tmp_path: Path) -> None:
    rows = renamed(whole())
    run_folder.write(rows, tmp_path)
    assert run_folder.read(tmp_path).benchmarks == rows.benchmarks
    (tmp_path / "benchmarks.json").unlink()
    assert run_folder.read(tmp_path).benchmarks == DEFAULT
    (tmp_path / "benchmarks.json").write_text('[{"name": "a", "title": "A", "colums": []}]')
    with pytest.raises(ValueError, match=r"benchmarks\.json: .*colums"):
        run_folder.read(tmp_path)


def test_runs_side_by_side_have_the_benchmarks_of_both() -> None:
    rows = whole()
    names = [b.name for b in merged({"a": rows, "b": renamed(rows)}).benchmarks]
    assert sorted(names) == sorted(b.name for all in (DEFAULT, declared(DEFAULT)) for b in all)


def test_no_module_knows_a_benchmark_or_a_judge_by_name() -> None:
    """Those that are everyday words too (rule, reward) are left to the tests above."""
    words = {b.name for b in DEFAULT} | {b.title for b in DEFAULT} | {"openai"}
    words -= {
        w for w in words if w.lower() in ("rule", "reward", "objective", "implicit reward", "teacher reward")
    }
    assert len(words) == 17
    for path in sorted((ROOT / "reports").rglob("*")):
        # published.py holds the papers' own numbers, as they stand there.
        if path.suffix in (".py", ".js", ".j2", ".css") and path.name != "published.py":
            assert not [word for word in words if word in path.read_text()], path
