"""Why a number differs by design: each reason of the closed list, on an export where it alone explains it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.alpaca_eval import declaration as alpaca
from benchmarks.alpaca_eval import length_controlled as lc
from benchmarks.api import Answer, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.arena_hard import declaration as arena
from benchmarks.arena_hard import files as arena_files
from benchmarks.declaration import Benchmark, JudgedAnswers
from benchmarks.mt_bench import benchmark as mt_bench
from benchmarks.mt_bench import declaration as mt
from benchmarks.openllm import declaration as openllm
from benchmarks.openllm import samples
from benchmarks.referee import ByDesign, OfficialNumber, Referee, Ruling
from benchmarks.thoughts import without_thoughts
from harness.audit.comparison import Line, compared
from harness.audit.official import NotAudited, Tools, ruling
from harness.audit.our_numbers import CellKey, OurNumbers
from harness.common.text import slug
from harness.evaluate import registry
from harness.results.manifest import ExportedRow
from tests.benchmarks.alpaca_eval.published import annotations
from tests.benchmarks.openllm.test_results_file import ASKED

RANKS = "[{{'model': 'model_1', 'rank': {}}}, {{'model': 'model_2', 'rank': {}}}]"
CHECKOUT = os.environ.get(
    "BENCH_TEST_ARENA_HARD_AUTO", ""
)  # a copy of the repository, which no package holds


def row_of(benchmark: str, judge: str = "", reference: str = "", name: str = "m") -> ExportedRow:
    return ExportedRow(
        benchmark, benchmark, name, slug(judge), slug(reference), "p", "d", name, 0, judge, reference
    )


def lines_of(
    benchmark: Benchmark, export: Path, row: ExportedRow, ours: Mapping[str, float], **tools: Any
) -> dict[tuple[str, str], Line]:
    """What the official tool says of a row's numbers: (metric, way) -> line."""
    assert benchmark.referee
    found = ruling(benchmark.referee, export, Tools(**tools))
    lines = compared(benchmark.referee, found, [row], OurNumbers({row: dict(ours)}, {}))
    return {(line.metric, line.way): line for line in lines}


def fastchat_export(folder: Path, replies: Sequence[str], values: Sequence[float | None]) -> Path:
    rows = [
        {"question_id": n, "model": "m", "judgment": text, "score": -1 if v is None else v, "turn": 1 + n % 2}
        for n, (text, v) in enumerate(zip(replies, values, strict=True))
    ]
    path = folder / "model_judgment/j_single.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("reply", "value", "reasons"),
    [
        ("Rating: [[7]]", 7.0, ()),
        ("Rating: [[12]]", None, ("out of range",)),
        ("<think>[[9]]?</think>Rating: [[3]]", 3.0, ("thoughts",)),
        ("I first meant [[9]]. Rating: [[3]]", 3.0, ("last rating",)),
        ("Not [[4]] but [[3]]<think>[[9]]?</think>", 3.0, ("thoughts", "last rating")),
        ("Rating: [[7]]", 8.0, None),
    ],
)
def test_ratings_that_are_read_otherwise(
    reply: str, value: float | None, reasons: tuple[str, ...] | None, tmp_path: Path
) -> None:
    """Beside two that both read alike; show_result, which reads no reply, agrees in every case."""
    values = [5.0, value, 6.0]
    export = fastchat_export(tmp_path, ["[[5]]", reply, "no [6]"], values)
    known = [v for v in values if v is not None]
    lines = lines_of(mt.BENCHMARK, export, row_of("mt-bench", "j"), {"score": sum(known) / len(known)})
    assert lines["score", ""].reasons == ()
    assert lines["score", "replies read again"].reasons == reasons


def test_what_is_read_by_default_is_read_as_fastchat_reads_it_but_for_the_range() -> None:
    texts = ("[[7]]", "[[12]]", "so [8] it is", "none", "[[0.5]]", "[[10]]")
    ours = [mt_bench.parse(JudgeRequest("q", ()), Reply(text)) for text in texts]
    assert [None if isinstance(v, Unparsed) else v for v in ours] == [7.0, None, 8.0, None, None, 10.0]


def alpaca_export(
    folder: Path, data: Path, rows: Sequence[dict[str, Any]], nulls: Sequence[int] = ()
) -> dict[str, float]:
    """The export of published annotations; those at `nulls` have no verdict. Gives our numbers of them."""
    questions, benchmark = alpaca_eval.load(data, evaluator=alpaca_eval.WEIGHTED)
    by_text = {q.turns[0]: q for q in questions}
    asked = [by_text[r["instruction"]] for r in rows]
    unread = {asked[n].id for n in nulls}
    sides = [
        {q.id: Answer(q.id, (r[side],), (1,), (False,)) for q, r in zip(asked, rows, strict=True)}
        for side in ("output_2", "output_1")
    ]
    preference = {q.id: r["preference"] or 1.5 for q, r in zip(asked, rows, strict=True)}
    judgments, scores = [], []
    for q in asked:
        for item in benchmark.requests(q, sides[0][q.id], sides[1][q.id]):
            value = None if q.id in unread else preference[q.id] - 1
            told = {"order": item.order, "reply": "", "logprobs": {}, "finish_reason": "stop"}
            judgments.append({"question": q.id, "turn": 1, "request": "", "value": value} | told)
            read = Unparsed("") if value is None else value
            scores.append(Score(q.id, read, q.category, 1, item.order, item.covariates))

    def quickly(scores: Sequence[Score]) -> dict[str, float]:
        items = alpaca_eval._lc_items(data, {q.id: q.turns[0] for q in asked}, scores)
        gamed = lc.find_gamed(data)
        assert items and gamed
        found = lc.lc_win_rate(items, gamed, resamples=2)  # intervals are no part of an audit
        controlled = {"lc_win_rate": found.value, "lc_standard_error": found.standard_error}
        return alpaca_eval.aggregate(scores) | controlled

    benchmark = replace(benchmark, aggregate=quickly)
    judged = JudgedAnswers(
        "m", "gpt-4", "baseline", "gpt-4", "baseline", asked, benchmark, *sides, judgments, data
    )
    alpaca.export(folder, [judged])
    return benchmark.aggregate(scores)


@pytest.mark.parametrize(
    ("model", "take", "nulls", "reasons"),
    [
        pytest.param("vicuna-7b-v1.5", slice(None), (), (), marks=pytest.mark.slow),
        # 803 of the 805: what follows a gap is shifted
        pytest.param("phi-2", slice(None), (), ("difficulty",), marks=pytest.mark.slow),
        pytest.param("phi-2", slice(None), (3, 400), ("difficulty", "judged items"), marks=pytest.mark.slow),
        ("vicuna-7b-v1.5", slice(100, 180), (), ("difficulty",)),
        ("vicuna-7b-v1.5", slice(0, 80), (3, 70), ("judged items",)),
    ],
)
def test_length_controlled_numbers(
    model: str,
    take: slice,
    nulls: tuple[int, ...],
    reasons: tuple[str, ...],
    shared_data: Path,
    tmp_path: Path,
) -> None:
    data = shared_data / "alpaca_eval"
    ours = alpaca_export(tmp_path, data, annotations(shared_data, f"weighted/{model}")[take], nulls)
    row = row_of("alpaca-eval-2", "gpt-4", "baseline")
    referee = alpaca.TWO.referee
    assert referee
    found = ruling(referee, tmp_path, Tools())
    (note,) = found.notes
    assert "df_gamed_reconstructed.csv" in note and "a stand-in for df_gamed.csv" in note
    lines = {(n.metric, n.way): n for n in compared(referee, found, [row], OurNumbers({row: ours}, {}))}
    for metric in ("lc_win_rate", "lc_standard_error"):
        assert lines[metric, ""].reasons == reasons
    for metric in ("win_rate", "standard_error", "discrete_win_rate", "n"):
        assert lines[metric, ""].reasons == ()
    assert lines["mean_length", ""].reasons == ("whole characters",)
    # Another number than that of what was exported is no departure of ours.
    other = ours | {"lc_win_rate": ours["lc_win_rate"] + 1e-5}
    altered = compared(referee, found, [row], OurNumbers({row: other}, {}))
    assert [n.reasons for n in altered if n.metric == "lc_win_rate"] == [None]


def test_what_has_no_answer_is_in_no_number(tmp_path: Path) -> None:
    """Lengths 4 and 6, none, and a half; a judge who prefers ours once, a tie of equals, two that are empty,
    and one that was filtered.
    """
    folder = tmp_path / "j/r/m"
    folder.mkdir(parents=True)
    answers = ["four", "sixsix", "", "half"]
    (folder / "model_outputs.json").write_text(json.dumps([{"output": text} for text in answers]))
    switched = "say 0"  # ours stands first
    rows = [
        {"instruction": switched, "output_1": "x", "output_2": "four", "preference": 2.0},
        {"instruction": "b", "output_1": "sixsix", "output_2": "sixsix", "preference": 1.5},
        {"instruction": "c", "output_1": "", "output_2": "", "preference": None, "status": "empty"},
        {
            "instruction": "d",
            "output_1": "y",
            "output_2": answers[3],
            "preference": None,
            "status": "filtered",
        },
    ]
    for row, reply in zip(rows, (RANKS.format(1, 2), None, None, None), strict=True):
        row["raw_completion"] = reply
    (folder / "annotations.json").write_text(json.dumps(rows))
    ours = {"mean_length": 5.0, "win_rate": 0.75}
    lines = lines_of(alpaca.ONE, tmp_path, row_of("alpaca-eval", "j", "r"), ours)
    assert lines["mean_length", ""].reasons == ("whole characters", "answers there")
    assert lines["win_rate", ""].reasons == ()
    assert lines["win_rate", "replies read again"].reasons == ("answers there",)


def reply_of(shown_first: bool, *words: str | dict[str, float]) -> Reply:
    """The reply by which side stands first: ours, or the reference."""
    said = words[0 if shown_first else 1]
    return Reply(said) if isinstance(said, str) else Reply("m", said)


READ = (  # evaluator, what is said where ours stands first and where the reference does, reasons
    (alpaca_eval.RANKED, RANKS.format(1, 2), RANKS.format(2, 1), ()),
    (alpaca_eval.RANKED, RANKS.format(1, 1), RANKS.format(2, 1), ("same rank",)),
    (alpaca_eval.RANKED, f"<think>?</think>{RANKS.format(1, 2)}", RANKS.format(2, 1), ("thoughts",)),
    (alpaca_eval.RANKED, "neither", RANKS.format(2, 1), ()),
    (alpaca_eval.WEIGHTED, {"m": -0.5, "M": -1.5}, {"M": -0.1, "x": -3.0}, ()),
    (alpaca_eval.WEIGHTED, {" m": -0.5, "M": -1.5, " M": -1.0}, {"M": -0.1}, ("spelling",)),
    (alpaca_eval.WEIGHTED, {"x": -0.5}, {"M": -0.1, "m": -2.0}, ()),
)


def read_as(name: str, data: Path, evaluator: str, *words: Any) -> tuple[JudgedAnswers, dict[str, float]]:
    """A row of 8 verdicts, the last of them on equal answers, as a run exports it, and our numbers of it."""
    questions, benchmark = alpaca_eval.load(data, evaluator=evaluator)
    ours, theirs = ({q.id: Answer(q.id, (of,), (1,), (False,)) for q in questions} for of in ("us", "them"))
    theirs["7"] = ours["7"]
    judgments, scores = [], []
    for q in questions:
        (item,) = benchmark.requests(q, ours[q.id], theirs[q.id])
        told: dict[str, Any] = {"question": q.id, "turn": 1, "order": item.order, "request": "", "reply": ""}
        value: float | Unparsed = 0.5
        if isinstance(item, JudgeRequest):
            reply = reply_of(item.order == "ab", *words)
            value = benchmark.parse(item, replace(reply, text=without_thoughts(reply.text)))
            told |= {"request": "x", "reply": reply.text, "logprobs": reply.logprobs, "finish_reason": "stop"}
        judgments.append(told | {"value": None if isinstance(value, Unparsed) else value})
        scores.append(Score(q.id, value, q.category, 1, item.order, item.covariates))
    assert {s.order for s in scores} == {"ab", "ba", ""}
    judged = JudgedAnswers(name, "j", "r", "j", "r", questions, benchmark, ours, theirs, judgments, data)
    return judged, benchmark.aggregate(scores)


def test_verdicts_of_alpaca_eval_that_are_read_otherwise(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "questions.json").write_text(json.dumps([{"instruction": f"say {n}"} for n in range(8)]))
    read = [read_as(str(n), data, evaluator, *words) for n, (evaluator, *words, _) in enumerate(READ)]
    alpaca.export(tmp_path / "export", [judged for judged, _ in read])
    referee = alpaca.ONE.referee
    assert referee
    ours = {row_of("b", "j", "r", judged.row): numbers for judged, numbers in read}
    lines = compared(referee, ruling(referee, tmp_path / "export", Tools()), list(ours), OurNumbers(ours, {}))
    found = {(line.row.row, line.way): line.reasons for line in lines if line.metric == "win_rate"}
    assert [found[str(n), "replies read again"] for n in range(len(READ))] == [case[-1] for case in READ]
    assert all(found[str(n), ""] == () for n in range(len(READ)))


GAMES = (  # the verdicts of each question's two games, and the reasons
    ([("A>>B", "A>B"), ("A=B", "B>A"), ("B>A", "A>>B")], ()),
    ([("A>>B", "A>B"), ("B>>A", None)], ("half-judged",)),
    ([("A>>B", "A>B"), (None, "B>>A"), (None, None)], ("half-judged",)),
)


def played(name: str, games: Sequence[tuple[str | None, str | None]]) -> tuple[JudgedAnswers, list[Score]]:
    """A row as a run exports it, and our scores of it."""
    judgments, scores = [], []
    for n, pair in enumerate(games):
        for order, label in zip(arena_files.ORDERS, pair, strict=True):
            reply = Reply(f"[[{label}]]" if label else "?")
            value = arena_hard.parse(JudgeRequest(str(n), (), order=order), reply)
            scores.append(Score(str(n), value, "arena-hard-v0.1", order=order))
            read = None if isinstance(value, Unparsed) else value
            told = {"category": "arena-hard-v0.1", "order": order, "value": read, "reply": reply.text}
            judgments.append({"question": str(n)} | told)
    answers = {str(n): Answer(str(n), ("text",), (1,), (False,)) for n in range(len(games))}
    asked = [Question(id, ("?",), "arena-hard-v0.1") for id in answers]
    benchmark: Any = None  # an export of Arena-Hard asks it nothing
    about = (asked, benchmark, answers, {}, judgments, Path())
    return JudgedAnswers(name, "j", "baseline", "j", "baseline", *about), scores


@pytest.mark.skipif(not CHECKOUT, reason="BENCH_TEST_ARENA_HARD_AUTO names no copy of arena-hard-auto")
def test_questions_of_arena_hard_with_one_verdict(tmp_path: Path) -> None:
    """v0.1 counts them; v2.0 leaves them out, as the tool does."""
    read = [played(str(n), games) for n, (games, _) in enumerate(GAMES)]
    arena.export(tmp_path, [judged for judged, _ in read])
    referee = arena.BENCHMARK.referee
    assert referee
    found = ruling(referee, tmp_path, Tools(checkouts={"arena-hard-auto": Path(CHECKOUT)}))
    for version in ("v0.1", "v2.0"):
        ours = {
            row_of("b", "j", "baseline", judged.row): arena_hard.aggregate(scores, version=version)
            for judged, scores in read
        }
        lines = compared(referee, found, list(ours), OurNumbers(ours, {}))
        reasons = {(line.row.row, line.metric): line.reasons for line in lines}
        assert reasons == {
            (str(n), metric): expected if version == "v0.1" else ()
            for n, (_, expected) in enumerate(GAMES)
            for metric in ("n", "win_rate")
        }


def test_without_a_copy_of_its_repository_arena_hard_is_not_audited(tmp_path: Path) -> None:
    assert arena.BENCHMARK.referee
    with pytest.raises(NotAudited, match="in no package: clone https"):
        ruling(arena.BENCHMARK.referee, tmp_path, Tools())


def lm_eval_export(folder: Path, tasks: Mapping[str, Sequence[dict[str, Any]]]) -> Path:
    """Documents of tasks as a run exports them; a document is its metrics, the task's own first."""
    results, details = [], []
    for task, documents in tasks.items():
        for n, metrics in enumerate(documents):
            about = {"task": task, "document": f"{n}-5d1f30a7"}
            settings = {"version": "1.0", "num_fewshot": 5, "metric": next(iter(metrics))}
            results.append(about | settings | {"value": float(next(iter(metrics.values())))})
            told = {
                "target": 0,
                "choices": [" a", " b"],
                "loglikelihoods": [-1.0, -2.0],
                "greedy": [True, False],
            }
            details.append(about | told | {"metrics": metrics})
    samples.write(folder / "m", results, details, ASKED, datetime(2026, 1, 1, tzinfo=UTC))
    return folder


def test_subjects_of_mmlu_weigh_alike(tmp_path: Path) -> None:
    """One right of one, none of three: 1/2 on the leaderboard, 1/4 in lm-eval."""
    right, wrong = {"acc": 1.0}, {"acc": 0.0}
    export = lm_eval_export(tmp_path, {"mmlu_a": [right], "mmlu_b": [wrong] * 3})
    (line,) = lines_of(openllm.ONE, export, row_of("openllm"), {"raw/mmlu": 0.5}).values()
    assert (line.theirs, line.reasons) == (0.25, ("subjects alike",))


def test_parts_of_other_groups_weigh_by_their_size_as_in_lm_eval(tmp_path: Path) -> None:
    right, wrong = {"acc_norm": 1.0, "acc": 0.0}, {"acc_norm": 0.0, "acc": 1.0}
    tasks = {"leaderboard_musr_a": [right], "leaderboard_musr_b": [wrong] * 3}
    export = lm_eval_export(tmp_path, tasks)
    ours = {"raw/leaderboard_musr": 0.25, "primary/leaderboard_musr_a": 1.0}
    lines = lines_of(openllm.TWO, export, row_of("openllm-v2"), ours).values()
    assert len(lines) == 2 and all(line.reasons == () for line in lines)


def test_ifeval_is_the_mean_over_prompts_and_over_instructions(tmp_path: Path) -> None:
    """One prompt of two followed, two instructions of three: (1/2 + 2/3) / 2."""
    documents = [
        {"prompt_level_strict_acc": True, "inst_level_strict_acc": [True]},
        {"prompt_level_strict_acc": False, "inst_level_strict_acc": [True, False]},
    ]
    export = lm_eval_export(tmp_path, {"leaderboard_ifeval": documents})
    ours = {"raw/leaderboard_ifeval": (1 / 2 + 2 / 3) / 2}
    (line,) = lines_of(openllm.TWO, export, row_of("openllm-v2"), ours).values()
    assert (line.theirs, line.reasons) == (0.5, ("prompts and instructions",))


def test_a_reason_that_is_not_on_the_list_explains_nothing() -> None:
    referee, row = Referee("tool", Path(), {"known": "we do otherwise"}), row_of("b")
    for name, expected in (("known", ("known",)), ("invented", None)):
        way = ByDesign(reasons=(name,), value=0.5)
        number = OfficialNumber(row="m", judge="", reference="", metric="x", value=0.4, by_design=(way,))
        ruled = Ruling(tool="tool", notes=(), numbers=(number,))
        (line,) = compared(referee, ruled, [row], OurNumbers({row: {"x": 0.5}}, {}))
        assert line.reasons == expected and line.difference == pytest.approx(0.1)


def test_a_cell_of_the_table_is_the_mean_over_seeds() -> None:
    """And departs from the tool's as its seeds do; a cell that is anything else differs."""
    rows = [replace(row_of("b", name=str(seed)), method="M", seed=seed) for seed in (0, 1)]
    numbers = [
        OfficialNumber(row=str(n), judge="", reference="", metric="x", value=value, by_design=tuple(ways))
        for n, (value, ways) in enumerate([(0.2, []), (0.4, [ByDesign(reasons=("known",), value=0.6)])])
    ]
    ruled = Ruling(tool="tool", notes=(), numbers=tuple(numbers))
    referee = Referee("tool", Path(), {"known": "we do otherwise"})
    for cell, reasons in ((0.4, ("known",)), (0.3, ()), (0.5, None)):
        known = OurNumbers(
            {rows[0]: {"x": 0.2}, rows[1]: {"x": 0.6}}, {CellKey("p", "d", "M", "b", "x", "", ""): cell}
        )
        *_, line = compared(referee, ruled, rows, known)
        assert line.way == "main table" and line.reasons == reasons


def test_every_reason_of_every_tool_is_tried_here() -> None:
    source = Path(__file__).read_text()
    referees = [b.declaration.referee for b in registry.known().benchmarks.values()]
    assert all(f'"{reason}"' in source for r in referees if r for reason in r.reasons)
