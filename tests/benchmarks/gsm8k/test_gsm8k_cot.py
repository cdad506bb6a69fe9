"""GSM8K as ZeroEval asks and reads it: replies as small models write them, and what it makes of them."""

import gzip
import hashlib
import json
from math import sqrt
from pathlib import Path

import pytest

from benchmarks.api import Answer, JudgeRequest, Question, Reply, Score, Unparsed
from benchmarks.gsm8k import benchmark as gsm8k_cot
from benchmarks.gsm8k.benchmark import NO_ANSWER

FENCED = '```json\n{\n    "reasoning": "16 - 3 - 4 = 9 eggs.\n9 * 2 = 18",\n    "answer": "18"\n}\n```'

# Reply -> what upstream finds where the right answer is 18: 1 right, 0 wrong, None no answer. ZeroEval's own
# functions gave these values; on the last of all they stop with a RecursionError.
REPLIES = [
    # JSON as asked
    (FENCED, 1),
    ('{"reasoning": "...", "answer": "18"}', 1),
    ('Sure!\n\n{"reasoning": "...", "answer": 18}\n\nHope this helps!', 1),
    ('{"reasoning": "...", "answer": "17"}', 0),
    ('{"answer": "18.0"}', 1),
    ('{"answer": "$18.00"}', 1),
    ('{"answer": "18 dollars"}', 1),
    ('{"answer": "-18"}', 0),
    ('{"answer": "1,8"}', 1),
    ('{"answer": "36/2"}', 1),
    ('{"answer": "$36/2"}', 1),
    ('{"answer": "(30 + 6)/2"}', 1),
    ('{"answer": "18/day"}', 1),
    ('{"answer": "36/2 eggs"}', 0),
    ('{"answer": "18/0"}', 1),
    ('{"answer": [18]}', 1),
    ('{"answer": {"value": 18, "unit": "$"}}', 1),
    ('{"answer": null}', 0),
    ('{"answer": ""}', 0),
    ('{"answer": "eighteen"}', 0),
    ('{"answer": "9 * 2 = 18"}', 0),
    ('{"answer": "3", "answer": "18"}', 1),
    ('{"answer": "18"} and {"answer": "7"}', 1),
    ('{"answer": 3, "reasoning": "two\nlines", "answer": 18}', 1),
    ('} {"answer": 3, "answer": 18}', 1),
    # a JSON object that does not hold it, or is not JSON
    ('{"reasoning": "..."} "answer": "18"', 1),
    ('{"final": "18"}', None),
    ('{"Answer": "18"}', None),
    ("{'reasoning': '...', 'answer': '18'}", None),
    ("{answer: 18}", 1),
    ('{"reasoning": "$\\frac{36}{2}$", "answer": "18"}', 1),
    ('{"reasoning": "He said "no".", "answer": "18"}', 1),
    ('{"reasoning": "tab\there", "answer": 18, }', 1),
    ('The set {a, b} has {"answer": "18"}', 1),
    ('{"reasoning": "an open { brace", "answer": "18"}', 1),
    ('"reasoning": "...", "answer": "18"', 1),
    ('{"reasoning": "9 * 2 = 18", "answer": "18', 1),
    ('{"reasoning": "9 * 2 = 18", "answer": ', 0),
    ('{"reasoning": "9 * 2 = 18', None),
    ('{"answer": "18"', 1),
    # no JSON
    ("The final answer: 18", 1),
    ("answer: $18.", 1),
    ("The answer: is 18", 0),
    ("Answer: 18", None),
    ("The answer is 18.", None),
    ("#### 18", None),
    ("\\boxed{18}", None),
    ("18", None),
    ("", None),
    ("{" * 5000, None),
    ('{"a":' * 5000 + "1" + "}" * 5000, None),
]


def answer(text: str, *, truncated: bool = False) -> Answer:
    return Answer("1", (text,), (1,), (truncated,))


def scored(text: str, gold: str = "18", *, truncated: bool = False) -> Score:
    (score,) = gsm8k_cot.requests(
        Question("1", ("q",), reference=(gold,)), answer(text, truncated=truncated), None
    )
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(("reply", "value"), REPLIES, ids=[repr(r[:40]) for r, _ in REPLIES])
def test_a_reply_counts_as_upstream_counts_it(reply: str, value: float | None) -> None:
    assert scored(reply).value == (Unparsed(NO_ANSWER) if value is None else float(value))


@pytest.mark.parametrize(
    ("said", "gold", "right"),
    [
        ("2125", "2,125", True),
        ("$1,450,000.00", "1,450,000", True),
        ("2.125", "2,125", False),
        ("-5", "-5", True),
        ("0.5", "1/2", True),
        ("5 - 3", "5", True),  # the first number
    ],
)
def test_numbers_are_equal_past_their_writing(said: str, gold: str, right: bool) -> None:
    assert gsm8k_cot.same_number(said, gold) is right


@pytest.mark.parametrize(
    "said",
    [
        "__import__('os').mkdir('made')/1",
        "9**9**9**9/1",
        "(-8)**(1/3)",
        "[1]*10**9/1",
        "'a'/2",
        "1" * 5000 + "/1",
        "-" * 5000 + "1/1",
        "1/" + "(" * 5000,
        "1/2\x00",
    ],
)
def test_what_a_model_writes_is_never_run_and_never_stops_the_count(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gsm8k_cot.same_number(said, "18") is False
    assert not list(tmp_path.iterdir())


def test_a_missing_answer_is_wrong_and_counted() -> None:
    """Right, wrong, missing (cut), right: 2 of 4;  variance 1/3, standard error sqrt(1/12)."""
    replies = [
        ('{"answer": 18}', False),
        ('{"answer": 1}', False),
        ('{"reasoning": "', True),
        (FENCED, False),
    ]
    scores = [scored(text, truncated=truncated) for text, truncated in replies]
    assert gsm8k_cot.aggregate(scores) == {
        "accuracy": 0.5,
        "accuracy_of_parsed": pytest.approx(2 / 3),
        "standard_error": pytest.approx(sqrt(1 / 12)),
        "n": 4,
        "n_unparsed": 1,
        "n_truncated": 1,
    }
    assert gsm8k_cot.aggregate([]) == {"n": 0, "n_unparsed": 0, "n_truncated": 0}
    only_missing = gsm8k_cot.aggregate(scores[2:3])
    assert only_missing == {"accuracy": 0.0, "n": 1, "n_unparsed": 1, "n_truncated": 1}


def test_the_real_questions_are_asked_in_zeroevals_words(shared_data: Path) -> None:
    questions, benchmark = gsm8k_cot.load(shared_data / "openllm")
    assert len(questions) == 1319
    first, robe = questions[:2]
    assert (first.id, first.reference, robe.reference) == ("gsm8k-main-test-#0", ("18",), ("3",))
    (prompt,) = robe.turns
    asked = (
        "A robe takes 2 bolts of blue fiber and half that much white fiber.  "
        "How many bolts in total does it take?"
    )
    assert prompt.startswith(
        f"\n## Question: \n\n{asked}\n\n\n## Instruction \n\nPlease answer this question by first "
    )
    assert prompt.endswith('\n\n```json\n{\n    "reasoning": "___",\n    "answer": "___"\n}\n```\n')
    template = prompt.replace(asked, "{question}").encode()
    assert hashlib.sha256(template).hexdigest()[:16] == "6804f7e08da9b9ae"
    assert benchmark.sampling(first).temperature == 0.0 and benchmark.sampling(first).max_tokens == 4096
    assert not benchmark.pairwise and (benchmark.name, benchmark.metric) == ("gsm8k-cot", "accuracy")


def test_every_real_gold_answer_is_right_and_every_other_is_wrong(shared_data: Path) -> None:
    """The data's worked solutions hold "<<9*2=18>>" and no JSON; their last line as JSON is right."""
    questions, benchmark = gsm8k_cot.load(shared_data / "openllm")
    lines = (shared_data / "openllm/gsm8k_test.jsonl").read_text().splitlines()
    right, off_by_one, bare = [], [], []
    for question, line in zip(questions, lines, strict=True):
        gold = json.loads(line)["answer"]
        number = gold.split("#### ")[1]
        said = json.dumps({"reasoning": gold, "answer": number})
        right += benchmark.requests(question, answer(said), None)
        wrong = json.dumps({"reasoning": gold, "answer": int(number.replace(",", "")) + 1})
        off_by_one += benchmark.requests(question, answer(wrong), None)
        bare += benchmark.requests(question, answer(gold), None)
    found = [
        benchmark.aggregate([s for s in scores if isinstance(s, Score)])
        for scores in (right, off_by_one, bare)
    ]
    assert [(f["accuracy"], f["n"], f["n_unparsed"]) for f in found] == [
        (1, 1319, 0),
        (0, 1319, 0),
        (0, 1319, 1319),
    ]


def test_a_compressed_file_is_read_and_the_settings_are_taken(tmp_path: Path) -> None:
    rows = [{"question": "What is {question} \u2028 of 2?", "answer": "<<1+1=2>> ...\n#### 2,000"}]
    with gzip.open(tmp_path / "gsm8k_test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (question,), benchmark = gsm8k_cot.load(tmp_path, max_tokens=7)
    assert "\n\nWhat is {question} \u2028 of 2?\n\n" in question.turns[0]
    assert question.reference == ("2,000",)
    assert (benchmark.sampling(question).temperature, benchmark.sampling(question).max_tokens) == (0.0, 7)


def test_a_folder_without_the_file_or_a_row_without_a_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no gsm8k_test\.jsonl or gsm8k_test\.jsonl\.gz in "):
        gsm8k_cot.load(tmp_path)
    for text in ("18", "#### many", "#### 1 000", "#### .5", "#### 1e3", "#### \u22123", "#### 3 or 4"):
        (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps({"question": "q", "answer": text}) + "\n")
        with pytest.raises(
            ValueError, match=r"gsm8k_test\.jsonl, row 1: the answer does not end in '#### number'"
        ):
            gsm8k_cot.load(tmp_path)


@pytest.mark.parametrize("gold", ["3 apples", "$1,000.", "-3.50", "50%", "3/4", "\u0663"])
def test_a_number_may_have_signs_and_words_around_it(tmp_path: Path, gold: str) -> None:
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps({"question": "q", "answer": f"so\n#### {gold}"}))
    (question,), _ = gsm8k_cot.load(tmp_path)
    assert question.reference == (gold,)


def test_no_judge_is_asked(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "#### 18"}
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps(row) + "\n")
    _, benchmark = gsm8k_cot.load(tmp_path)
    with pytest.raises(AssertionError, match="no judge is asked"):
        benchmark.parse(JudgeRequest("1", ()), Reply(""))
