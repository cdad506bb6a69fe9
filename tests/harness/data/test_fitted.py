"""Rows that are too long or that the template refuses: dropped or cut as the suite says, and counted."""

from pathlib import Path
from typing import Any

import pytest

from harness.data.prepare import DIALOGUES, PAIRS, run_dialogues, run_pairs
from harness.data.token_sequences import Sequences
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import TEMPLATE, WORDS, tiny_tokenizer

USER, ASSISTANT, END = "<user>", "<assistant>", "<end>"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return folder


def rows_of(path: Path) -> dict[str, Any]:
    return {"path": str(path), "split": "train", "revision": None, "layout": "auto", "limit": None, "skip": 0}


def pairs(
    tokenizer: Path, folder: Path, rows: list[dict[str, Any]], **settings: Any
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What the step counts, and both sides of each pair as words."""
    write_rows(folder / "pairs.jsonl", rows)
    (folder / "out").mkdir()
    given = {**rows_of(folder / "pairs.jsonl"), "max_length": 12, "template": None, **settings}
    context = {"path": str(folder / "pairs.jsonl"), "student": "s", "teacher": "t"}
    inputs = {"tokenizer": tokenizer, "teacher": tokenizer}
    measured = run_pairs(PAIRS.work(given, inputs, folder / "out", context))
    sides = [words(folder / "out" / side) for side in ("chosen", "rejected")]
    return measured, list(zip(*sides, strict=True))


def dialogues(
    tokenizer: Path, folder: Path, rows: list[dict[str, Any]], **settings: Any
) -> tuple[dict[str, Any], list[str]]:
    """What the step counts, and its sequences as words; those that the loss reads are in capitals."""
    write_rows(folder / "sft.jsonl", rows)
    (folder / "out").mkdir()
    given = {
        **rows_of(folder / "sft.jsonl"),
        **{"pack": False, "loss_on": "responses", "max_length": 12, "template": None},
        **settings,
    }
    context = {"path": str(folder / "sft.jsonl")}
    measured = run_dialogues(DIALOGUES.work(given, {"tokenizer": tokenizer}, folder / "out", context))
    return measured, words(folder / "out")


def words(folder: Path) -> list[str]:
    return [
        " ".join(WORDS[i].upper() if read else WORDS[i] for i, read in zip(s.ids, s.mask, strict=True))
        for s in Sequences(folder)
    ]


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


# 3 tokens around a prompt and 1 behind a response: 12 in all, 14, 14, a prompt of 13, alike up to the cut.
FITS = pair("a b", "c d e f g h", "i")
ROWS = [
    FITS,
    pair("a b c d", "e f g h i j", "k"),
    pair("a b", "k", "c d e f g h i j"),
    pair("a b c d e f g h i j", "k", "l"),
    pair("a b c d e f", "k l m n", "k l m o"),
]
WHOLE = ("<user> a b <end> <assistant> C D E F G H <END>", "<user> a b <end> <assistant> I <END>")


@pytest.mark.parametrize(
    ("too_long", "expected", "dropped", "truncated"),
    [
        ("drop", [], {"too long": 4}, None),
        (
            "truncate_response",
            [
                (
                    "<user> a b c d <end> <assistant> E F G H I",
                    "<user> a b c d <end> <assistant> K <END>",
                ),
                (
                    "<user> a b <end> <assistant> K <END>",
                    "<user> a b <end> <assistant> C D E F G H I",
                ),
            ],
            {"too long": 1, "alike once truncated": 1},
            2,
        ),
        (
            "truncate_prompt",
            [
                ("b c d <end> <assistant> E F G H I J <END>", "b c d <end> <assistant> K <END>"),
                ("b <end> <assistant> K <END>", "b <end> <assistant> C D E F G H I J <END>"),
                (
                    "c d e f g h i j <end> <assistant> K <END>",
                    "c d e f g h i j <end> <assistant> L <END>",
                ),
                (
                    "b c d e f <end> <assistant> K L M N <END>",
                    "b c d e f <end> <assistant> K L M O <END>",
                ),
            ],
            {},
            4,
        ),
    ],
)
def test_a_pair_that_is_too_long_is_dropped_or_cut_and_counted(
    tokenizer: Path,
    tmp_path: Path,
    too_long: str,
    expected: list[tuple[str, str]],
    dropped: dict[str, int],
    truncated: int | None,
) -> None:
    measured, found = pairs(
        tokenizer, tmp_path, ROWS, **({} if too_long == "drop" else {"too_long": too_long})
    )
    assert found == [WHOLE, *expected]
    assert measured["dropped"] == dropped and measured.get("truncated") == truncated
    assert measured["read"] == 5 and measured["chosen"]["sequences"] == len(found)


def chat(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


DIALOGUE_ROWS = [
    {"messages": chat("a b", "c d e f g h")},  # 12
    {"messages": chat("a b", "c d e f g h i j")},  # 14
    {"messages": chat("a", "b", "c", "d e f g")},  # 15: 4 + 2 + 4 + 5
    {"messages": chat("a", "b c d e f g h i j k l m")},  # 17, of which the answer has 13
    {"messages": chat("a b c d e f g h i j", "k")},  # 15, of which the prompt has 13
]


@pytest.mark.parametrize(
    ("too_long", "loss_on", "expected", "dropped"),
    [
        ("drop", "responses", [], 4),
        (
            "truncate_response",
            "responses",
            [
                "<user> a b <end> <assistant> C D E F G H I",
                "<user> a <end> <assistant> B <END> <user> c <end> <assistant> D E",
                "<user> a <end> <assistant> B C D E F G H I",
            ],
            1,
        ),
        (
            "truncate_prompt",
            "responses",
            [
                "b <end> <assistant> C D E F G H I J <END>",
                "<assistant> B <END> <user> c <end> <assistant> D E F G <END>",
                "c d e f g h i j <end> <assistant> K <END>",
            ],
            1,
        ),
        (
            "truncate_prompt",
            "all",
            [
                "b <END> <ASSISTANT> C D E F G H I J <END>",
                "<assistant> B <END> <USER> C <END> <ASSISTANT> D E F G <END>",
                "c D E F G H I J K L M <END>",
                "c D E F G H I J <END> <ASSISTANT> K <END>",
            ],
            0,
        ),
    ],
)
def test_a_dialogue_that_is_too_long_is_dropped_or_cut_and_counted(
    tokenizer: Path, tmp_path: Path, too_long: str, loss_on: str, expected: list[str], dropped: int
) -> None:
    measured, found = dialogues(tokenizer, tmp_path, DIALOGUE_ROWS, too_long=too_long, loss_on=loss_on)
    assert found[1:] == expected
    assert measured["dropped"] == ({"too long": dropped} if dropped else {})
    assert measured.get("truncated") == (None if too_long == "drop" else len(expected))


def first(action: str) -> str:
    """The template, with something done for each message `m` before."""
    return "{% for m in messages %}" + action + "{% endfor %}" + TEMPLATE


def refusing(condition: str) -> str:
    """The template, which raises for a message `m` of which something holds."""
    return first("{% if " + condition + " %}{{ raise_exception('no, ' + m.role) }}{% endif %}")


REFUSING = [
    refusing("m.role == 'system'"),
    refusing("m.content == 'a system'"),
    refusing("loop.previtem is defined and loop.previtem.role == 'system'"),
    first("{{ 1 + m.content if m.role == 'system' }}"),
    first("{{ m.content.x.y if m.role == 'system' }}"),
]


@pytest.mark.parametrize("template", REFUSING)
@pytest.mark.parametrize("pack", [False, True])
def test_a_row_that_the_template_refuses_is_dropped_and_counted_in_both(
    tokenizer: Path, tmp_path: Path, template: str, pack: bool
) -> None:
    refused = {"not renderable by the chat template": 1}
    (tmp_path / "a").mkdir()
    chosen = [{"messages": chat("a b", "c d e f g h", system="a system")}, DIALOGUE_ROWS[0]]
    measured, found = dialogues(tokenizer, tmp_path / "a", chosen, template=template, pack=pack)
    assert measured["dropped"] == refused and measured["read"] == 2
    assert found == [WHOLE[0]]

    (tmp_path / "b").mkdir()
    measured, both = pairs(
        tokenizer, tmp_path / "b", [{**FITS, "system": "a system"}, FITS], template=template
    )
    assert measured["dropped"] == refused and measured["read"] == 2
    assert both == [WHOLE]


def test_where_every_row_is_refused_the_line_says_what_the_template_said(
    tokenizer: Path, tmp_path: Path
) -> None:
    for rows, make in (([{"messages": chat("a", "b")}], dialogues), ([FITS], pairs)):
        folder = tmp_path / make.__name__
        folder.mkdir()
        with pytest.raises(ValueError) as refused:
            make(tokenizer, folder, rows, template=refusing("m.role == 'user'"))
        assert "is left of 1 rows; dropped: {'not renderable by the chat template': 1}" in str(refused.value)
        assert str(refused.value).endswith("(the first: the chat template refuses: no, user)")
