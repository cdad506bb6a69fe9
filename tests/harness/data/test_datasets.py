"""Loading: every layout of the field gives the same canonical rows, and nothing is dropped in silence."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from benchmarks.api import Message
from harness.common import data_folder
from harness.common.files import files_below
from harness.data.datasets import (
    Loaded,
    Source,
    columns_beside,
    describe,
    fingerprint,
    load,
    load_dialogues,
    load_pairs,
)
from harness.data.layouts import (
    DIALOGUES,
    PAIRS,
    Dialogue,
    Dropped,
    Layout,
    Pair,
    row_by_row,
)
from harness.data.turns import checked_prompt, prompt_of
from tests.benchmarks.openllm.small_tasks import write_rows

Rows = Sequence[dict[str, Any]]


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def chat(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    """Turns of user and assistant in alternation, after a system turn where one is given."""
    turns = [turn(("user", "assistant")[i % 2], content) for i, content in enumerate(contents)]
    return (*([turn("system", system)] if system is not None else []), *turns)


def sharegpt(*contents: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": content} for i, content in enumerate(contents)]


def hh(*contents: str) -> str:
    return "".join(f"\n\n{('Human', 'Assistant')[i % 2]}: {content}" for i, content in enumerate(contents))


def jsonl(path: Path, rows: Rows) -> Source:
    write_rows(path, rows)
    return Source(str(path))


def of(layouts: Sequence[Layout[Any]], name: str, *rows: dict[str, Any]) -> list[Any]:
    """What the layout `name` makes of rows."""
    return list(next(layout for layout in layouts if layout.name == name).read(rows))


def error_of(action: Callable[[], object]) -> str:
    """The one line in which an action is refused."""
    with pytest.raises(ValueError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


HI = Pair(chat("Hi"), "Hello", "Go away")
LATER = Pair(chat("Hi", "Yes?", "Tea 🍵?", system="Be kind"), "Gladly", "No")

PAIR_ROWS = [
    ("prompt-chosen-rejected", {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}, HI),
    (
        "prompt-chosen-rejected",
        {
            "prompt": [*LATER.prompt],
            "chosen": [turn("assistant", "Gladly")],
            "rejected": [turn("assistant", "No")],
        },
        LATER,
    ),
    (
        "prompt-chosen-rejected",
        {
            "prompt": [*LATER.prompt],
            "chosen": [*LATER.prompt, turn("assistant", "Gladly")],
            "rejected": [*LATER.prompt, turn("assistant", "No")],
        },
        LATER,
    ),
    (
        "prompt-chosen-rejected",
        {"prompt": "Hi", "chosen": [*chat("Hi", "Hello")], "rejected": [*chat("Hi", "Go away")]},
        HI,
    ),
    (
        "prompt-chosen-rejected",
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "Hello", "rejected": "Go away"},
        HI,
    ),
    (
        "chosen-rejected",
        {
            "chosen": [*LATER.prompt, turn("assistant", "Gladly")],
            "rejected": [*LATER.prompt, turn("assistant", "No")],
        },
        LATER,
    ),
    ("chosen-rejected", {"chosen": hh("Hi", "Hello"), "rejected": hh("Hi", "Go away")}, HI),
    (
        "chosen-rejected",  # the answers begin alike: the shared text is cut at the turn
        {"chosen": hh("Hi", "Yes?", "Tea?", "I would"), "rejected": hh("Hi", "Yes?", "Tea?", "I won't")},
        Pair(chat("Hi", "Yes?", "Tea?"), "I would", "I won't"),
    ),
    (
        "sharegpt",
        {
            "conversations": sharegpt("Hi", "Yes?", "Tea 🍵?"),
            "system": "Be kind",
            "chosen": {"from": "gpt", "value": "Gladly"},
            "rejected": {"from": "gpt", "value": "No"},
        },
        LATER,
    ),
]


def rated(prompt: str, response: str, helpfulness: object) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, "helpfulness": helpfulness, "verbosity": 2}


HELLO, GO_AWAY = turn("assistant", "Hello"), turn("assistant", "Go away")
SYSTEM_ROWS = [
    {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
    {
        "prompt": [*HI.prompt],
        "chosen": [turn("assistant", "Hello")],
        "rejected": [turn("assistant", "Go away")],
    },
    {"prompt": "Hi", "chosen": [*chat("Hi", "Hello")], "rejected": [*chat("Hi", "Go away")]},
    {"prompt": [*HI.prompt], "chosen": [*chat("Hi", "Hello")], "rejected": [*chat("Hi", "Go away")]},
    {"chosen": [*chat("Hi", "Hello")], "rejected": [*chat("Hi", "Go away")]},
    {"chosen": hh("Hi", "Hello"), "rejected": hh("Hi", "Go away")},
    {
        "conversations": sharegpt("Hi"),
        "chosen": {"from": "gpt", "value": "Hello"},
        "rejected": {"from": "gpt", "value": "Go away"},
    },
    # The system turn stands among the turns as well.
    {
        "prompt": "Hi",
        "chosen": [*chat("Hi", "Hello", system="Be kind")],
        "rejected": [*chat("Hi", "Go away", system="Be kind")],
    },
    {
        "prompt": [*HI.prompt],
        "chosen": [*chat("Hi", "Hello", system="Be kind")],
        "rejected": [*chat("Hi", "Go away", system="Be kind")],
    },
    {
        "prompt": [*chat("Hi", system="Be kind")],
        "chosen": [turn("assistant", "Hello")],
        "rejected": [turn("assistant", "Go away")],
    },
]
KIND = Pair(chat("Hi", system="Be kind"), "Hello", "Go away")


@pytest.mark.parametrize("column", ["system", "system_prompt", "system_message"])
@pytest.mark.parametrize("row", SYSTEM_ROWS)
def test_a_system_column_beside_a_preference_is_its_system_turn(
    tmp_path: Path, row: dict[str, Any], column: str
) -> None:
    source = jsonl(tmp_path / "pairs.jsonl", [{**row, column: "Be kind"}])
    assert load_pairs(source) == Loaded([KIND], 1, {})


@pytest.mark.parametrize("row", SYSTEM_ROWS[:7])
def test_system_turns_that_differ_are_dropped_and_empty_ones_are_none(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    rows = [
        {**row, "system": "", "system_prompt": " "},
        {**row, "system": "Be kind", "system_prompt": "Be rude"},
    ]
    assert load_pairs(jsonl(tmp_path / "pairs.jsonl", rows)) == Loaded([HI], 2, {"system turns differ": 1})


def test_ratings_under_two_system_turns_make_no_pair(tmp_path: Path) -> None:
    rows = [
        {**rated("Hi", text, n), "system": said}
        for n, (text, said) in enumerate(
            [("Go away", "Be kind"), ("Hello", "Be kind"), ("Go away", "Be kind"), ("Hello", "Be rude")]
        )
    ]
    found = load_pairs(jsonl(tmp_path / "rated.jsonl", rows))
    assert found == Loaded([KIND], 4, {"system turns differ": 2})


def test_dialogues_have_their_system_columns_and_alpaca_its_history(tmp_path: Path) -> None:
    expected = Dialogue(chat("Hi", "Hello", "Tea?", "Gladly", system="Be kind"))
    rows = [
        {"messages": [*chat("Hi", "Hello", "Tea?", "Gladly")], "system_prompt": "Be kind"},
        {"conversations": sharegpt("Hi", "Hello", "Tea?", "Gladly"), "system": "Be kind"},
        {"instruction": "Tea?", "output": "Gladly", "system": "Be kind", "history": [["Hi", "Hello"]]},
    ]
    for row in rows:
        assert load_dialogues(jsonl(tmp_path / "sft.jsonl", [row])) == Loaded([expected], 1, {})


@pytest.mark.parametrize("ending", ["jsonl", "json", "jsonl.gz", "parquet"])
def test_columns_that_say_more_are_found_before_a_file_is_read_as_rows(tmp_path: Path, ending: str) -> None:
    """The first row has none; where no row has any, there is nothing to name."""
    import datasets

    row = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away", "system": "", "system_prompt": " "}
    path = tmp_path / f"pairs.{ending}"

    def written(*rows: dict[str, Any]) -> tuple[str, ...]:
        if ending == "parquet":
            datasets.Dataset.from_list(list(rows)).to_parquet(path)
        else:
            text = json.dumps(rows) if ending == "json" else "".join(json.dumps(r) + "\n" for r in rows)
            path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
        return columns_beside(Source(str(path)), PAIRS)

    assert written(row, {**row, "system_prompt": "Be kind"}) == ("system_prompt",)
    assert written(row, row) == ()


def test_columns_that_a_layout_has_anyway_are_not_beside_it(tmp_path: Path) -> None:
    alpaca = {"instruction": "Tea?", "output": "Gladly", "system": "Be kind"}
    assert columns_beside(jsonl(tmp_path / "a.jsonl", [alpaca]), DIALOGUES) == ()
    told = {**alpaca, "history": [["Hi", "Hello"]]}
    assert columns_beside(jsonl(tmp_path / "b.jsonl", [told]), DIALOGUES) == ("history",)
    assert columns_beside(Source("org/name"), PAIRS) == ()


@pytest.mark.parametrize(("layout", "row", "expected"), PAIR_ROWS)
def test_each_preference_layout_is_detected_and_gives_the_same_pair(
    tmp_path: Path, layout: str, row: dict[str, Any], expected: Pair
) -> None:
    source = jsonl(tmp_path / "pairs.jsonl", [row])
    assert load_pairs(source) == Loaded([expected], 1, {})
    assert load_pairs(Source(source.path, layout=layout)) == Loaded([expected], 1, {})


def test_helpsteer_chooses_the_more_helpful_of_two_consecutive_rows(tmp_path: Path) -> None:
    turns = "Hi\n\n<extra_id_1>Assistant\nYes?\n<extra_id_1>User\nTea?"
    rows = [
        *(rated("a", "worse", 1), rated("a", "better", 4)),
        *(rated("b", "as good", 3), rated("b", "as bad", 3)),
        rated("c", "alone", 4),
        *(rated(turns, "Gladly", 3), rated(turns, "No", 0)),
        *(rated("d", "unrated", None), rated("d", "rated", 0)),
        *(rated("e", "1", 1), rated("e", "2", 2), rated("e", "4", 4), rated("e", "3", 3), rated("e", "5", 4)),
    ]
    loaded = load_pairs(jsonl(tmp_path / "helpsteer.jsonl", rows))
    assert loaded.rows == [
        Pair(chat("a"), "better", "worse"),
        Pair(chat("Hi", "Yes?", "Tea?"), "Gladly", "No"),
        Pair(chat("e"), "2", "1"),
        Pair(chat("e"), "4", "3"),
    ]
    assert loaded.dropped == {"no rating": 2, "one response only": 2, "tied ratings": 2}
    assert loaded.read == len(rows) == 2 * len(loaded.rows) + sum(loaded.dropped.values())


def test_a_prompt_of_a_marker_alone_is_dropped_and_counted(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}
    loaded = load_pairs(jsonl(tmp_path / "pairs.jsonl", [row, row | {"prompt": "\n\nAssistant:"}]))
    assert (len(loaded.rows), loaded.dropped) == (1, {"no user turn": 1})


def test_a_history_that_is_no_list_is_no_row(tmp_path: Path) -> None:
    row = {"instruction": "Hi", "output": "Hello", "history": 5}
    with pytest.raises(ValueError, match="1 dropped: a round of the history is no pair"):
        load_dialogues(jsonl(tmp_path / "sft.jsonl", [row]))


@pytest.mark.parametrize("given", [None, float("nan"), float("inf"), "nan", "", "good", True, [4]])
def test_what_orders_nothing_is_no_rating(tmp_path: Path, given: object) -> None:
    """NaN is what pandas writes for a missing number; both rows of the prompt give nothing, in either
    order.
    """
    rows = [rated("a", "x", given), rated("a", "y", 0), rated("b", "x", 4), rated("b", "y", given)]
    loaded = load_pairs(
        jsonl(tmp_path / "helpsteer.jsonl", [*rows, rated("c", "x", "4"), rated("c", "y", 3)])
    )
    assert loaded.rows == [Pair(chat("c"), "x", "y")]
    assert loaded.dropped == {"no rating": 4}


@pytest.mark.parametrize("prompt", [hh("Hi", ""), "Hi"])
def test_answers_that_hold_their_prompt_in_marked_text_are_what_stands_behind_it(prompt: str) -> None:
    row = {"prompt": prompt, "chosen": hh("Hi", "Yes"), "rejected": hh("Hi", "No").lstrip()}
    assert of(PAIRS, "prompt-chosen-rejected", row) == [Pair(chat("Hi"), "Yes", "No")]
    row |= {"rejected": hh("Ho", "No")}
    assert of(PAIRS, "prompt-chosen-rejected", row) == [
        Dropped("answer is not one assistant turn after the prompt")
    ]
    row |= {"rejected": "Human: who? No"}  # an answer of its own, beside one that looks like a dialogue
    assert of(PAIRS, "prompt-chosen-rejected", row)[0] == Pair(chat("Hi"), row["chosen"], row["rejected"])


def test_a_csv_whose_fields_are_moved_by_a_comma_without_quotes_is_refused(tmp_path: Path) -> None:
    """pandas would read "what is it ?" as the prompt of row 1, and its own answer as row 2's prompt."""
    head, other = "prompt,chosen,rejected\n", "who ?,a,b\n"
    (tmp_path / "train.csv").write_text(f"{head}Well, what is it ?,a,b\n{other}")
    with pytest.raises(ValueError, match=f"^{tmp_path}: row 2 has fewer fields than row 1, .* in quotes$"):
        load_pairs(Source(str(tmp_path)))
    (tmp_path / "train.csv").write_text(f'{head}"Well, what is it ?",a,b\n{other}')
    assert [p.prompt for p in load_pairs(Source(str(tmp_path))).rows] == [
        chat("Well, what is it ?"),
        chat("who ?"),
    ]
    # R names its rows, and not their column.
    (tmp_path / "train.csv").write_text(f"{head}1,who ?,a,b\n2,why ?,a,b\n")
    assert [p.prompt for p in load_pairs(Source(str(tmp_path))).rows] == [chat("who ?"), chat("why ?")]


@pytest.mark.parametrize("name", ["p.parquet", "p/train.parquet"])
def test_parts_of_a_parquet_file_may_be_empty_and_its_rows_have_names(tmp_path: Path, name: str) -> None:
    """As pandas and writers of streams leave them."""
    columns = {
        "prompt": ["who ?"],
        "chosen": ["a"],
        "rejected": ["b"],
        "__index_level_0__": [7],
        "note": [None],
    }
    table, path = pyarrow.table(columns), tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with parquet.ParquetWriter(path, table.schema) as file:
        for part in (table.slice(0, 0), table, table.slice(0, 0)):
            file.write_table(part)
    loaded = load_pairs(Source(str(path if name == path.name else path.parent)))
    assert loaded.rows == [Pair(chat("who ?"), "a", "b")]


def test_one_answer_that_is_a_list_of_messages_is_an_answer() -> None:
    row = {"prompt": "Write a chat as JSON.", "chosen": '[{"role": "user"}]', "rejected": "No"}
    assert of(PAIRS, "prompt-chosen-rejected", row) == [
        Pair(chat(row["prompt"]), row["chosen"], row["rejected"])
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Hi", "chosen": " ", "rejected": "No"}, "empty answer"),
        ({"prompt": "Hi", "chosen": "Yes", "rejected": ""}, "empty answer"),
        ({"prompt": "Hi", "chosen": "\u200b\n", "rejected": "No"}, "empty answer"),
        (
            {"prompt": "Hi", "chosen": repr([*chat("Hi", "Yes")]), "rejected": repr([*chat("Hi", "No")])},
            "messages written as text",
        ),
        (
            {"prompt": "Hi", "chosen": ' [ {"content": "Yes"}]', "rejected": '[{"content": "No"}]'},
            "messages written as text",
        ),
        ({"prompt": "Hi", "chosen": "No", "rejected": "No\n"}, "chosen == rejected"),
        ({"prompt": "", "chosen": "Yes", "rejected": "No"}, "empty turn"),
        ({"prompt": None, "chosen": "Yes", "rejected": "No"}, "no turns"),
        ({"prompt": [turn("system", "x")], "chosen": "Yes", "rejected": "No"}, "no user turn"),
        (
            {"prompt": [*chat("a", "b")], "chosen": "Yes", "rejected": "No"},
            "prompt does not end with a user turn",
        ),
        ({"prompt": [turn("user", "a")] * 2, "chosen": "Yes", "rejected": "No"}, "turns do not alternate"),
        ({"prompt": [turn("tool", "a")], "chosen": "Yes", "rejected": "No"}, "unknown role"),
        (
            {"prompt": [{"role": "user", "content": 3}], "chosen": "Yes", "rejected": "No"},
            "content is not text",
        ),
        (
            {"prompt": "Hi", "chosen": [*chat("Hi", "Yes")], "rejected": [*chat("Ho", "No")]},
            "answer is not one assistant turn after the prompt",
        ),
    ],
)
def test_a_preference_row_that_cannot_be_used_is_dropped_by_reason(row: dict[str, Any], reason: str) -> None:
    assert of(PAIRS, "prompt-chosen-rejected", row) == [Dropped(reason)]


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (hh("a", "Yes"), hh("b", "No"), "no common turn"),
        (hh("a", "Yes", "b", "c"), hh("a", "No"), "more than one turn after the common ones"),
        (hh("a", "Yes"), hh("a", "Yes"), "chosen == rejected"),
        (hh("a", "Yes", "b"), hh("a", "Yes"), "answer is not one assistant turn after the prompt"),
        (hh("a", "Yes"), "plain", "text before the first turn"),
        (hh("a", ""), hh("a", "No"), "empty answer"),
        ([*chat("a", "Yes")], None, "no turns"),
    ],
)
def test_an_implicit_prompt_that_is_not_shared_is_dropped_by_reason(
    chosen: object, rejected: object, reason: str
) -> None:
    assert of(PAIRS, "chosen-rejected", {"chosen": chosen, "rejected": rejected}) == [Dropped(reason)]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "prompt_id": "0f", "messages": [*chat("Hi", "Hello")]},
        {"conversations": sharegpt("Hi", "Hello"), "id": "1"},
        {"instruction": "Hi", "input": "", "output": "Hello"},
        {"instruction": "Hi", "output": "Hello"},
    ],
)
def test_each_chat_layout_is_detected_and_gives_the_same_dialogue(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    assert load_dialogues(jsonl(tmp_path / "sft.jsonl", [row])).rows == [Dialogue(chat("Hi", "Hello"))]


def test_an_alpaca_input_stands_on_the_line_after_its_instruction() -> None:
    row = {"instruction": "Add", "input": "1 + 1", "output": "2", "system": "Be brief"}
    assert of(DIALOGUES, "alpaca", row) == [Dialogue(chat("Add\n1 + 1", "2", system="Be brief"))]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (chat("Hi"), "no assistant turn"),
        (chat("Hi", "Hello", "Bye"), "last turn is not an answer"),
        (chat("Hi", " "), "empty answer"),
        (chat("Hi", "", "Bye", "Bye"), "empty turn"),
        ((turn("assistant", "Hello"),), "no user turn"),
        ((), "no turns"),
    ],
)
def test_a_dialogue_that_cannot_be_learned_is_dropped_by_reason(
    messages: tuple[Message, ...], reason: str
) -> None:
    assert of(DIALOGUES, "messages", {"messages": [*messages]}) == [Dropped(reason)]


def load_prompts(source: Source) -> Loaded[Any]:
    """Rows of one column, the shortest that can be read."""
    layout = Layout("prompt", ("prompt",), row_by_row(lambda row: checked_prompt(prompt_of(row["prompt"]))))
    return load(source, [layout])


def written_as(folder: Path, name: str, rows: Rows) -> Path:
    """The rows in the format that the file's name says."""
    path, text = folder / name, json.dumps(rows)
    if ".jsonl" in name:
        text = "\n\n".join(json.dumps(row) for row in rows)
    if name.endswith(".parquet"):
        import pandas as pd

        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz", "a.parquet", "odd [1]*?.jsonl"]
)
def test_every_file_format_is_read_in_order_and_twice_alike(tmp_path: Path, name: str) -> None:
    rows = [{"prompt": f"№ {i} \U0001f375 \u2028", "chosen": "a", "rejected": "b"} for i in range(5)]
    source = Source(str(written_as(tmp_path, name, rows)))
    assert load_pairs(source).rows == [Pair(chat(row["prompt"]), "a", "b") for row in rows]
    assert load_pairs(source) == load_pairs(source)


def test_reading_files_asks_nothing_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl(tmp_path / "train.jsonl", [{"prompt": "a"}])
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: asked.append(args) or [])
    for path in (tmp_path, tmp_path / "train.jsonl", written_as(tmp_path, "b.parquet", [{"prompt": "a"}])):
        assert load_prompts(Source(str(path))).read == 1 and fingerprint(Source(str(path)))
    assert not asked


def test_a_part_of_a_file_can_be_asked_for(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": text} for text in "abcd"]).path
    parts = [load_prompts(Source(path, split=split)).rows for split in ("train[:75%]", "train[75%:]", "test")]
    assert parts[0] + parts[1] == parts[2] and len(parts[0]) == 3


def test_a_folder_is_read_by_split(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{"prompt": "a"}])
    jsonl(tmp_path / "test.jsonl", [{"prompt": "b"}])
    assert load_prompts(Source(str(tmp_path), split="test")).rows == [chat("b")]
    assert "train" in error_of(lambda: load_prompts(Source(str(tmp_path), split="validation")))


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [{"prompt": "a"}])
    before = load_prompts(source).rows, fingerprint(source)
    jsonl(tmp_path / "a.jsonl", [{"prompt": "b"}])
    assert load_prompts(source).rows == [chat("b")] != before[0]
    assert fingerprint(source) != before[1]


def test_what_was_read_and_dropped_is_said_in_a_line(tmp_path: Path) -> None:
    loaded = load_prompts(jsonl(tmp_path / "a.jsonl", [{"prompt": text} for text in ("a", "")]))
    assert loaded == Loaded([chat("a")], 2, {"empty turn": 1})
    assert describe(loaded) == "2 rows read, 1 kept; 1 dropped: empty turn"


def test_values_far_down_a_file_keep_their_type(tmp_path: Path) -> None:
    """The json builder would by default fix columns by the first 10 MiB, and write a later list as text."""
    long = [{"prompt": "x" * 2**20}] * 11
    loaded = load_prompts(jsonl(tmp_path / "a.jsonl", [*long, {"prompt": [*chat("a")], "new": 1}]))
    assert loaded.rows[-1] == chat("a")


def test_an_unknown_layout_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a"}]).path
    message = error_of(lambda: load_pairs(Source(path, layout="helpster")))
    assert "did you mean 'helpsteer'?" in message and "known: auto, sharegpt" in message


def test_a_missing_column_is_refused_with_the_columns_that_are_there(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "choosen": "b", "rejected": "c"}]).path
    for layout in ("auto", "prompt-chosen-rejected"):
        message = error_of(lambda layout=layout: load_pairs(Source(path, layout=layout)))
        assert message.startswith(f"{path} has columns prompt, choosen, rejected; expected ")
        assert "prompt+chosen+rejected" in message and "did you mean 'choosen' as 'chosen'?" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "a.jsonl: holds no rows"),
        ("a.json", b"[]", "a.json: holds no rows"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt":\n', "a.jsonl, line 2: not JSON"),
        ("a.json", b'[{"prompt": "a"},\n {"prompt": "b"', "a.json, line 2: not JSON"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"prompt": "a"}\n{"prompt": "b', mtime=0),
            "a.jsonl.gz, line 2: not JSON",
        ),
        ("a.json.gz", b"not gzip", "a.json.gz: cannot be unpacked: Not a gzipped file"),
        ("a.parquet", b"not parquet", "a.parquet: Parquet"),
        ("a.csv", b"prompt\na", "a.csv: expected .jsonl, .json, .parquet"),
        (
            "a.jsonl",
            b'{"prompt": ""}',
            "no row can be used as 'prompt': 1 rows read, 0 kept; 1 dropped: empty turn",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in error_of(lambda: load_prompts(Source(str(tmp_path / name))))


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    jsonl(tmp_path / "pairs.jsonl", [{"prompt": "a"}])
    for action in (load_pairs, fingerprint):
        message = error_of(lambda action=action: action(Source(str(tmp_path / "pair.jsonl"))))
        assert "did you mean 'pairs.jsonl'?" in message


def test_a_local_file_has_no_revision(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a"}]).path
    assert "is local" in error_of(lambda: load_prompts(Source(path, revision="main")))


def test_the_fingerprint_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    source = Source(str(tmp_path))
    jsonl(tmp_path / "a.jsonl", [{"prompt": "a"}])
    first = fingerprint(source)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert fingerprint(source) != first and re.fullmatch(r"sha256:[0-9a-f]{64}", first)


def test_fingerprints_see_what_linked_folders_hold(tmp_path: Path) -> None:
    linked, folder = tmp_path / "elsewhere", tmp_path / "data"
    for made in (linked, folder):
        made.mkdir()
    write_rows(linked / "a.jsonl", [{"prompt": "a"}])
    (folder / "part").symlink_to(linked)
    (linked / "again").symlink_to(folder)  # a circle has an end
    prints = (lambda: fingerprint(Source(str(folder))), lambda: data_folder.fingerprint(folder))
    before = [of() for of in prints]
    write_rows(linked / "a.jsonl", [{"prompt": "b"}])

    assert all(of() != was for of, was in zip(prints, before, strict=True))


def test_a_folder_with_two_ways_is_found_by_the_same_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories are listed in any order."""
    (tmp_path / "b").mkdir()
    write_rows(tmp_path / "b" / "x.jsonl", [{"prompt": "a"}])
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert [p.relative_to(tmp_path).parts for p in files_below(tmp_path)] == [("a", "x.jsonl")]
    walk = os.walk

    def backwards(top: Path, **how: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for folder, folders, names in walk(top, **how):
            folders.sort(reverse=True)
            yield folder, folders, names

    monkeypatch.setattr(os, "walk", backwards)
    assert [p.relative_to(tmp_path).parts for p in files_below(tmp_path)] == [("a", "x.jsonl")]


def test_the_fingerprint_of_a_hub_id_is_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef" * 2 + "01234567"
    assert fingerprint(Source("org/set", revision=commit)) == f"org/set@{commit}"

    message = error_of(lambda: fingerprint(Source("org/set")))
    assert "give a local file, or a commit hash" in message

    refs = tmp_path / "datasets--org--set" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(commit)
    assert fingerprint(Source("org/set")) == f"org/set@{commit}"
    assert "neither a file nor a hub id" in error_of(lambda: fingerprint(Source("no set")))


def test_importing_the_loader_imports_no_heavy_library() -> None:
    heavy = {"datasets", "transformers", "torch", "pandas"}
    code = f"import sys, harness.data.datasets, harness.data.chat_template; print({heavy} & {{*sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_hh_rlhf_is_read_with_every_row_accounted_for(shared_data: Path) -> None:
    path = shared_data / "preference" / "hh_rlhf_harmless_base_test.jsonl.gz"
    loaded = load_pairs(Source(str(path)))
    assert (loaded.read, len(loaded.rows)) == (2312, 2299)
    assert loaded.dropped == {
        "empty answer": 4,
        "more than one turn after the common ones": 5,
        "turns do not alternate": 4,
    }

    mark, expected = "\n\nAssistant:", []
    for line in gzip.decompress(path.read_bytes()).splitlines():
        row = json.loads(line)
        (prompt, _, chosen), (other, _, rejected) = (row[k].rpartition(mark) for k in ("chosen", "rejected"))
        alternates = prompt.count("\n\nHuman:") == prompt.count(mark) + 1
        if prompt == other and alternates and chosen.strip() and rejected.strip():
            expected.append((prompt, chosen.strip(), rejected.strip()))
    assert [(pair.chosen, pair.rejected) for pair in loaded.rows] == [(c, r) for _, c, r in expected]
    for pair, (prompt, _, _) in zip(loaded.rows, expected, strict=True):
        assert [t["content"] for t in pair.prompt] == [
            text.strip() for text in re.split(r"\n\n(?:Human|Assistant):", prompt)[1:]
        ]


def test_the_llama_factory_demos_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "preference"
    path = folder / "llamafactory_dpo_en_demo.json.gz"
    pairs, raw = load_pairs(Source(str(path))), json.loads(gzip.decompress(path.read_bytes()))
    assert (pairs.read, len(pairs.rows), pairs.dropped) == (300, 300, {})
    assert sum(pair.prompt[0]["role"] == "system" for pair in pairs.rows) == 80
    assert sum(len(pair.prompt) for pair in pairs.rows) == sum(len(row["conversations"]) for row in raw)
    assert [pair.rejected for pair in pairs.rows] == [row["rejected"]["value"] for row in raw]

    dialogues = load_dialogues(Source(str(folder / "llamafactory_alpaca_en_demo.json.gz")))
    assert (dialogues.read, len(dialogues.rows), dialogues.dropped) == (999, 999, {})
