"""Arena-Hard against upstream: real judgments, prompts and answers."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api import Answer, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.arena_hard import prompts as arena_hard_prompts
from benchmarks.arena_hard import style_control as style

BAGEL = "judgments_v0.1_bagel-8b-v1.0_by_DeepSeek-R1-Distill-Llama-70B_181q.jsonl.gz"
NASTY = "{ANSWER_B} {QUESTION} {answer_2} {0} {{x}} \\1 \\g<0> <|im_end|> [[A>>B]] \u2028 \U0001f600"
SPLIT = "\n<|The End of Assistant A's Answer|>\n\n<|The Start of Assistant B's Answer|>\n"
END = "\n<|The End of Assistant B's Answer|>"


def answer(text: str) -> Answer:
    return Answer("q", (text,), (1,), (False,))


def parsed(text: str, order: str = "ab", version: str = "v0.1") -> float | Unparsed:
    parse = arena_hard.parse if version == "v0.1" else arena_hard.parse_last
    return parse(JudgeRequest("q", (), order=order), Reply(text))  # type: ignore[arg-type]


def scores(*pairs: tuple[float | None, float | None], category: str = "") -> list[Score]:
    """Of question 0, 1, ...: the verdicts as B and as A; None is unparsed."""
    return [
        Score(f"{category}{n}", Unparsed("?") if v is None else v, category, order=order)
        for n, pair in enumerate(pairs)
        for order, v in zip(("ba", "ab"), pair, strict=True)
    ]


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "arena_hard"


@pytest.fixture(scope="module")
def bagel(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / BAGEL, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def real(bagel: list[dict[str, Any]]) -> list[Score]:
    """The real replies, read by our parser."""
    return [
        Score(row["question_id"], parsed(game["judgment"], order), "arena-hard-v0.1", order=order)
        for row in bagel
        for order, game in zip(("ba", "ab"), row["games"], strict=True)
    ]


def test_the_judge_sees_what_upstreams_judge_saw(folder: Path, bagel: list[dict[str, Any]]) -> None:
    """Both games of all 181 questions, with upstream's baseline, byte for byte."""
    questions, benchmark = arena_hard.load(folder)
    asked = {q.id: q for q in questions}
    baseline = arena_hard.stored(folder, "v0.1")
    for row in bagel:
        id, prompts = row["question_id"], [game["user_prompt"] for game in row["games"]]
        theirs = baseline[id]
        start = prompts[0].index(theirs.turns[0] + SPLIT) + len(theirs.turns[0] + SPLIT)
        ours = replace(theirs, turns=(prompts[0][start : -len(END)],))
        requests = benchmark.requests(asked[id], ours, theirs)
        assert [r.messages[-1]["content"] for r in requests if isinstance(r, JudgeRequest)] == prompts
        assert [r.order for r in requests] == ["ba", "ab"]


def test_real_replies_are_read_as_upstream_read_them(bagel: list[dict[str, Any]], real: list[Score]) -> None:
    labels = {"A>>B": 1.0, "A>B": 0.75, "A=B": 0.5, "B>A": 0.25, "B>>A": 0.0}
    stored = [game["score"] for row in bagel for game in row["games"]]
    assert len(stored) == 362
    for label, score in zip(stored, real, strict=True):
        if label is None:
            assert isinstance(score.value, Unparsed)
        else:
            assert score.value == (labels[label] if score.order == "ab" else 1 - labels[label])


def test_the_real_judgments_give_the_golden_figures(folder: Path, real: list[Score]) -> None:
    golden = json.loads((folder / "golden_bagel_expected.json").read_text())
    found = arena_hard.aggregate(real)
    assert 100 * found["win_rate"] == pytest.approx(golden["bagel_weight3"]["plain_mean"], abs=1e-9)
    assert 100 * found["win_rate_unweighted"] == pytest.approx(
        golden["bagel_weight1"]["plain_mean"], abs=1e-9
    )
    assert round(100 * found["win_rate"], 2) == golden["bagel_weight3"]["winrate"]
    position = golden["bagel_position"]
    assert found["strict_agreement"] == pytest.approx(position["strict_consistent"], abs=1e-12)
    assert found["side_agreement"] == pytest.approx(position["side_consistent"], abs=1e-12)
    assert found["first_slot_rate"] == pytest.approx(position["first_slot_rate"], abs=1e-12)
    assert found["n_games"] == golden["bagel_weight1"]["n_battles"]
    assert found["n_unparsed"] == 8
    # 175 questions have both verdicts, 4 one and 2 none: the 6 that the golden file counts as null.
    assert arena_hard.aggregate(real, version="v2.0")["n"] == position["valid"]
    assert found["n"] + 2 == golden["bagel_weight1"]["n_questions"]
    assert found["n_half"] + 2 == position["null"]


@pytest.mark.parametrize("heavy", [1, 3])
def test_intervals_of_the_real_judgments_are_the_golden_ones(
    folder: Path, real: list[Score], heavy: int
) -> None:
    """Quantiles of 1000 and of 100 draws scatter by 0.1-0.3 and 0.3-0.5 points; the golden ones do too."""
    golden = json.loads((folder / "golden_bagel_expected.json").read_text())[f"bagel_weight{heavy}"]
    clusters: dict[str, list[float]] = {}
    for s in real:
        if not isinstance(s.value, Unparsed):
            clusters.setdefault(s.question, []).append(s.value)
    found = arena_hard.win_rates(list(clusters.values()), (2.5, 97.5), heavy=heavy)
    assert 100 * found["win_rate"] == pytest.approx(golden["plain_mean"], abs=1e-9)
    clustered = [100 * found["low"], 100 * found["high"]]
    rows = [100 * found["upstream_low"], 100 * found["upstream_high"]]
    assert clustered == pytest.approx(golden["ci95_clusterbootstrap"], abs=0.6)
    assert rows == pytest.approx(golden["ci95_rowbootstrap"], abs=1.0)
    assert clustered[1] - clustered[0] > rows[1] - rows[0]  # the two games of a question go together


def test_a_win_rate_by_hand() -> None:
    """1 and 0.75 win, 3 + 1; 0.5 ties; 0 loses, 3: (4 + 1/2) / (4 + 1 + 3); unweighted 2.5 / 4."""
    found = arena_hard.aggregate(scores((1.0, 0.75), (0.5, 0.0)))
    assert found["win_rate"] == pytest.approx(4.5 / 8)
    assert found["win_rate_unweighted"] == pytest.approx(2.5 / 4)
    assert (found["strict_agreement"], found["side_agreement"]) == (0.0, 0.5)
    assert found["first_slot_rate"] == 0.25  # of four verdicts only 0.75, where ours was A


def test_v2_leaves_out_a_question_with_half_its_verdicts_and_v01_counts_the_half() -> None:
    given = scores((1.0, None), (0.25, 0.25), (None, None))
    old, new = (arena_hard.aggregate(given, version=v) for v in ("v0.1", "v2.0"))  # type: ignore[arg-type]
    assert (old["win_rate"], old["n"], old["n_games"]) == (3 / 5, 2.0, 3.0)
    assert (new["win_rate"], new["n"], new["n_games"]) == (0.0, 1.0, 2.0)
    for found in (old, new):
        assert (found["n_unparsed"], found["n_half"]) == (3.0, 1.0)


def test_without_any_verdict_there_is_no_win_rate() -> None:
    expected = {"n": 0.0, "n_games": 0.0, "n_unparsed": 2.0, "n_half": 0.0}
    assert arena_hard.aggregate(scores((None, None))) == expected
    assert arena_hard.aggregate([]) == expected | {"n_unparsed": 0.0}


def test_categories_with_baselines_of_their_own_are_told_apart() -> None:
    given = scores((1.0, 1.0), category="hard_prompt") + scores((0.25, 0.5), category="creative_writing")
    found = arena_hard.aggregate(given, version="v2.0")
    assert found["win_rate/hard_prompt"] == 1.0
    assert found["win_rate/creative_writing"] == 0.25
    assert found["win_rate"] == pytest.approx(6.5 / 8)
    assert "win_rate/hard_prompt" not in arena_hard.aggregate(given[:2], version="v2.0")


@pytest.mark.parametrize(
    ("text", "v01", "v20"),
    [
        ("My final verdict is tie: [[A=B]]", 0.5, 0.5),
        ("[[A>>B]] ... so [[A>>B]]", 1.0, 1.0),
        ("[[B>>A]] or rather [[A>B]]", None, 0.75),
        ("[[a>b]]", None, 0.75),
        ("final: [B>A]", None, 0.25),
        ("[A>>B] but [[B>A]]", 0.25, 0.25),
        ("[[B<A]]", 0.75, 0.75),
        ("[[A>>>B]]", None, None),
        ("[[A]] [[C]]", None, None),
        ("", None, None),
    ],
)
def test_labels_are_read_as_each_version_reads_them(text: str, v01: float | None, v20: float | None) -> None:
    for version, expected in (("v0.1", v01), ("v2.0", v20)):
        ours_first, ours_last = parsed(text, "ab", version), parsed(text, "ba", version)
        if expected is None:
            assert ours_first == ours_last == Unparsed(text)
        else:
            assert (ours_first, ours_last) == (expected, 1 - expected)


def test_only_a_version_that_reads_a_reply_with_several_verdicts_counts_it(folder: Path) -> None:
    both, twice = Reply("[[A>>B]] but [[B>A]]"), Reply("[[B<A]], that is [[A>B]]")
    _, old = arena_hard.load(folder)
    assert arena_hard.several(both) and not arena_hard.several(twice) and not old.several(both)


def test_what_an_answer_holds_stays_text(folder: Path) -> None:
    _, benchmark = arena_hard.load(folder)
    requests = benchmark.requests(Question("q", (NASTY,)), answer(NASTY + "1"), answer(NASTY + "2"))
    for request, (a, b) in zip(requests, (("2", "1"), ("1", "2")), strict=True):
        assert isinstance(request, JudgeRequest)
        system, user = request.messages
        assert user["content"] == (
            f"<|User Prompt|>\n{NASTY}\n\n<|The Start of Assistant A's Answer|>\n"
            f"{NASTY}{a}{SPLIT}{NASTY}{b}{END}"
        )
        assert NASTY not in system["content"]


def test_the_reference_is_not_judged_against_itself_and_has_half_of_the_games(folder: Path) -> None:
    questions, benchmark = arena_hard.load(folder)
    reference = arena_hard.stored(folder, "v0.1")
    ties = [item for q in questions[:9] for item in benchmark.requests(q, reference[q.id], reference[q.id])]
    assert len(ties) == 18 and all(isinstance(item, Score) for item in ties)
    found = benchmark.aggregate([item for item in ties if isinstance(item, Score)])
    assert (found["win_rate"], found["low"], found["high"], found["n_games"]) == (0.5, 0.5, 0.5, 18)


def test_an_empty_answer_is_asked_too(folder: Path) -> None:
    _, benchmark = arena_hard.load(folder)
    requests = benchmark.requests(Question("q", ("?",)), answer(""), answer("a"))
    assert [type(r) for r in requests] == [JudgeRequest, JudgeRequest]
    assert requests[0].covariates["length"] == 0.0
    with pytest.raises(ValueError, match="question q has none"):
        benchmark.requests(Question("q", ("?",)), answer("a"), None)


def test_creative_writing_is_judged_without_an_answer_of_the_judges_own(folder: Path) -> None:
    _, benchmark = arena_hard.load(folder, version="v2.0")
    system = {}
    for category in ("creative_writing", "hard_prompt"):
        request = benchmark.requests(Question("q", ("?",), category), answer("a"), answer("b"))[0]
        assert isinstance(request, JudgeRequest)
        system[category] = request.messages[0]["content"]
    assert "generating your own answer" in system["hard_prompt"]
    assert "your answer" not in system["creative_writing"]


def test_a_folder_may_bring_prompts_of_its_own(tmp_path: Path) -> None:
    file, question = tmp_path / "arena-hard-v0.1.yaml", Question("q", ("Q",))
    file.write_text('system_prompt: Judge.\nprompt_template: ["{question_1}|{answer_1}|{answer_2}"]\n')
    messages = arena_hard_prompts.read(tmp_path, "v0.1").messages(question, "{answer_2}", "b")
    assert [m["content"] for m in messages] == ["Judge.", "Q|{answer_2}|b"]
    file.write_text('prompt_template: "{QUESTION}|{ANSWER_A}"\n')
    with pytest.raises(
        ValueError, match=r"prompt_template wants \{QUESTION\}, \{ANSWER_A\}, \{ANSWER_B\} or"
    ):
        arena_hard_prompts.read(tmp_path, "v0.1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "not YAML that is read"),
        ("a: 1\na: 2\n", "not YAML that is read"),
        ("a: 2024-99-99\n", "not YAML that is read"),
        ("[" * 5000, "not YAML that is read"),
        ("- a\n", r'given \["a"\]; a mapping'),
        ("prompt_template: 3\n", "prompt_template: given 3; a text, or a list of one"),
        ("prompt_template: []\n", r"prompt_template: given \[\]; a text, or a list of one"),
        ("prompt_template:\n", "prompt_template: given null; a text, or a list of one"),
        ("system_prompt: 3\n", "system_prompt: given 3"),
    ],
)
def test_a_file_of_prompts_that_holds_none_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "arena-hard-v0.1.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"arena-hard-v0\.1\.yaml: {said}"):
        arena_hard_prompts.read(tmp_path, "v0.1")


@pytest.mark.parametrize(("version", "count", "tokens"), [("v0.1", 500, 4096), ("v2.0", 750, 16000)])
def test_each_version_has_its_questions_and_limits(
    folder: Path, version: arena_hard.Version, count: int, tokens: int
) -> None:
    questions, benchmark = arena_hard.load(folder, version=version)
    assert len({q.id for q in questions}) == count
    assert (benchmark.name, benchmark.metric, benchmark.pairwise) == ("arena-hard", "win_rate", True)
    for limit in (benchmark.decoding, benchmark.sampling(questions[0])):
        assert (limit.temperature, limit.max_tokens) == (0.0, tokens)
    _, shorter = arena_hard.load(folder, version=version, max_tokens=64)
    assert shorter.sampling(questions[0]).max_tokens == 64
    assert shorter.decoding == benchmark.decoding
    assert benchmark.aggregate(scores((1.0, None)))["n"] == (1.0 if version == "v0.1" else 0.0)
    with pytest.raises(ValueError, match=r"no version 'v0.2' of Arena-Hard; did you mean 'v0.1'\?"):
        arena_hard.load(folder, version="v0.2")  # type: ignore[arg-type]


def test_the_baseline_of_v2_is_each_categorys_own(tmp_path: Path) -> None:
    rows = {"h": "hard_prompt", "c": "creative_writing"}
    questions = [{"uid": id, "category": category, "prompt": "?"} for id, category in rows.items()]
    (tmp_path / "question_v2.0.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    for model in ("o3-mini-2025-01-31", "gemini-2.0-flash-001"):
        with pytest.raises(ValueError, match=f"no model_answer_v2.0_{model}.jsonl"):
            arena_hard.stored(tmp_path, "v2.0")
        said = {id: [{"role": "assistant", "content": {"answer": f"{id} by {model}"}}] for id in rows}
        path = tmp_path / f"model_answer_v2.0_{model}.jsonl"
        path.write_text("".join(json.dumps({"uid": id, "messages": m}) + "\n" for id, m in said.items()))
    found = {id: a.turns for id, a in arena_hard.stored(tmp_path, "v2.0").items()}
    assert found == {"h": ("h by o3-mini-2025-01-31",), "c": ("c by gemini-2.0-flash-001",)}
    (tmp_path / "question_v2.0.jsonl").write_text('{"uid": "h", "category": "poetry", "prompt": "?"}\n')
    with pytest.raises(ValueError, match="question h: no baseline for 'poetry'"):
        arena_hard.stored(tmp_path, "v2.0")


def test_the_style_controlled_win_rate_is_there_where_styles_are_known(
    folder: Path, real: list[Score]
) -> None:
    assert "style_controlled_win_rate" not in arena_hard.aggregate(real)
    _, benchmark = arena_hard.load(folder)
    models = ("gpt-4-0613", "gpt-4-0314")
    ours, theirs = (arena_hard.stored(folder, "v0.1", m) for m in models)
    verdicts = {(s.question, s.order): s.value for s in real}
    questions, _ = arena_hard.load(folder)
    known = [
        Score(q.id, verdicts[q.id, r.order], order=r.order, covariates=r.covariates)
        for q in questions
        for r in benchmark.requests(q, ours[q.id], theirs[q.id])
        if (q.id, r.order) in verdicts
    ]
    found = benchmark.aggregate(known)
    assert found["style_controlled_win_rate"] == style.style_controlled_win_rate(known) != found["win_rate"]
