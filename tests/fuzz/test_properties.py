"""What holds at a border whatever stands there: a value, or one line of a fault, and no other end.

A few examples of each in the fast tier, many in `make fuzz`, the same ones each time.
"""

import copy
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML as Reader

import methods
from benchmarks.api import NO_ANSWER
from harness.data import datasets
from harness.data.layouts import DIALOGUES, PAIRS, Dialogue, Dropped, Pair
from harness.endpoints.replies import EndpointReply
from harness.endpoints.responses import answer, meaning, page
from harness.endpoints.responses.outcomes import Failed, NoRoom, OtherField
from harness.evaluate import registry
from harness.suite import loading
from harness.suite.schema import Suite
from harness.suite.tuning import search
from tests.fuzz.judge import ASKED, LONGEST
from tests.fuzz.values import JSON, WORDS, YAML
from tests.paths import ROOT, TINY

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))  # of each property
bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
few = settings(bounded, max_examples=EXAMPLES // 4)  # of what takes longer


# Suites


@cache
def suites() -> list[dict[str, Any]]:
    """Suites that are right, to put wrong values into."""
    files = (TINY, ROOT / "tests" / "tiny-all.yaml", *sorted((ROOT / "harness" / "presets").glob("*.yaml")))
    read = [Reader(typ="safe", pure=True).load(Path(file)) for file in files]
    judged = {"judges": {"j": {"model": "m", "base_url": "http://x/v1", "repeats": {"share": 0.5}}}}
    judged |= {"benchmarks": {"mt-bench": {"data": "mt", "judge": "j"}, "openllm": {"data": "o"}}}
    return [{k: v for k, v in one.items() if k != "extends"} for one in (*read, ASKED, ASKED | judged)]


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in it."""
    if path:
        yield path
    if isinstance(part, dict):
        for name, value in part.items():
            yield from places(value, (*path, name))


@st.composite
def wrong_suites(draw: st.DrawFn) -> dict[Any, Any]:
    """A suite with another value, a renamed key or a new key at one or two places, or keys of no suite."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.dictionaries(WORDS | st.integers(), YAML, max_size=4))
    suite = copy.deepcopy(draw(st.sampled_from(suites())))
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from(list(places(suite))))
        inside = suite
        for name in parents:
            inside = inside[name]
        match draw(st.integers(0, 3)):
            case 0:
                inside[draw(WORDS | st.integers() | st.none())] = inside.pop(last)
            case 1 if isinstance(inside[last], dict):
                inside[last][draw(WORDS)] = draw(YAML)
            case _:
                inside[last] = draw(YAML)
    return suite


def is_a_line(fault: ValueError, *named: str) -> None:
    """It is one that `bench` prints whole, with no more than a terminal shows, and says where."""
    line = str(fault)
    assert line and len(line) < LONGEST and line.isprintable(), ascii(line)
    assert any(name in line for name in named), line


@bounded
@given(wrong_suites())
def test_any_suite_is_one_or_a_line_with_its_key(raw: dict[Any, Any]) -> None:
    try:
        suite = loading.suite_of(raw, registry.known(), "suite.yaml")
        known = loading.with_starts(suite, methods.registry())
        for name in suite.methods:
            if name in known:
                loading.configured(suite, known[name])
        search.check_tuning(suite, known)
    except ValueError as fault:
        is_a_line(
            fault,
            "as a key",
            *Suite.model_fields,
            *(key for key in raw if isinstance(key, str) and key.strip()),
        )


@bounded
@given(st.one_of(st.binary(max_size=80), WORDS.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_no_suite_and_a_line_with_the_file(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "suite.yaml"
        path.write_bytes(content)
        try:
            loading.load(str(path), (), registry.known())
        except ValueError as fault:
            is_a_line(ValueError(str(fault).replace(folder, "")), "suite.yaml")


# Rows of data


def rows_of(columns: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with the columns of a layout, in which some of what they should hold stands."""
    turn = st.fixed_dictionaries(
        {},
        optional={
            n: JSON | st.sampled_from(["user", "assistant", "human", "gpt", "system"])
            for n in ("role", "content", "from", "value")
        },
    )
    said = st.sampled_from(
        ["Hi", "\n\nHuman: a\n\nAssistant: b", "<extra_id_1>User\nx<extra_id_1>Assistant\n"]
    )
    value = st.one_of(JSON, said, st.lists(turn, max_size=4), turn)
    more = ("system", "system_prompt", "history", "input")
    row = st.fixed_dictionaries(dict.fromkeys(columns, value), optional=dict.fromkeys(more, value))
    return st.lists(row, min_size=1, max_size=3)


@bounded
@given(st.data())
def test_any_row_is_one_or_is_dropped_with_a_reason(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from((*PAIRS, *DIALOGUES)))
    rows = data.draw(rows_of(layout.columns))
    made = list(layout.read(rows))
    for one in made:
        assert isinstance(one, Pair | Dialogue | Dropped)
        if isinstance(one, Dropped):
            assert one.reason.isprintable() and len(one.reason) < 100
    assert sum(one.rows if isinstance(one, Dropped) else 1 for one in made) <= len(rows)
    assert made


@few
@given(st.data())
def test_any_file_of_rows_is_read_or_is_a_line_with_the_file(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from((*PAIRS, *DIALOGUES)))
    rows = data.draw(rows_of(layout.columns))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        load = datasets.load_pairs if layout in PAIRS else datasets.load_dialogues
        try:
            loaded = load(datasets.Source(str(path), layout=layout.name))
        except ValueError as fault:
            is_a_line(ValueError(str(fault).replace(folder, "")), "rows.jsonl")
        else:
            assert loaded.read == len(rows)


# Replies of endpoints


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A completion in which something is otherwise, any JSON, a stream, or any bytes."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=60))
    if kind == 1:
        return draw(WORDS).encode("utf-8", "surrogatepass")
    top = st.lists(
        st.fixed_dictionaries({"token": JSON, "logprob": JSON | st.floats(max_value=0)}), max_size=3
    )
    logprobs = st.fixed_dictionaries(
        {"content": JSON | st.lists(st.fixed_dictionaries({"top_logprobs": JSON | top}))}
    )
    message = st.fixed_dictionaries(
        {"content": JSON | WORDS}, optional={n: JSON for n in ("refusal", "tool_calls", "reasoning_content")}
    )
    choice = st.fixed_dictionaries(
        {"message": JSON | message, "delta": JSON | message},
        optional={
            "finish_reason": JSON | st.sampled_from(["stop", "length", "content_filter", "error", "SAFETY"]),
            "logprobs": JSON | logprobs,
            "index": JSON,
        },
    )
    usage = st.fixed_dictionaries({"prompt_tokens": JSON, "completion_tokens": JSON})
    error = st.fixed_dictionaries(
        {},
        optional={
            n: JSON | st.sampled_from([400, "502", 429])
            for n in ("message", "code", "type", "metadata", "innererror")
        },
    )
    body = st.fixed_dictionaries(
        {},
        optional={
            "choices": JSON | st.lists(JSON | choice, max_size=2),
            "usage": JSON | usage,
            "error": JSON | error,
            "model": JSON,
            "object": JSON,
            "detail": JSON,
        },
    )
    if kind == 2:
        parts = draw(st.lists(JSON | body, max_size=3))
        return "".join(f"data: {json.dumps(part)}\n\n" for part in parts).encode()
    return json.dumps(draw(JSON | body)).encode()


@bounded
@given(
    bodies(),
    st.sampled_from([200, 200, 200, 400, 401, 403, 404, 413, 422, 429, 500, 503, 302]),
    st.booleans(),
    st.dictionaries(st.just("retry-after"), WORDS | st.floats().map(str) | st.integers().map(str)),
)
def test_any_body_is_a_reply_a_refusal_or_a_failure(
    content: bytes, status: int, logprobs: bool, headers: Mapping[str, str]
) -> None:
    got = page.page_of(status, headers, content, ("sk-a-key",))
    assert got.words.isprintable() and len(got.words) <= page.SHOWN
    try:
        if status == 200 and not got.error_status:
            answer.used_of(got.body)
            reply = answer.reply_of("key", logprobs, got, 0.1, 1)
        elif failed := meaning.failed(got, 0.0):
            raise failed
        else:
            finish, told = meaning.of_prompt(got, 100)
            line = meaning.final(got, "http://x/v1", "A_KEY")
            assert told.isprintable() and line.isprintable() and len(line) < LONGEST
            reply = EndpointReply("key", "", finish_reason=finish, told=told)
    except NoRoom as e:
        assert 0 <= e.max_tokens < 100
        return
    except OtherField:
        return
    except Failed as e:
        assert e.told.isprintable() and 0 <= (e.retry_after or 0) < float("inf")
        if e.instead is None:
            return
        reply = e.instead
        assert reply.finish_reason in NO_ANSWER
    # The store takes it, and whoever reads it.
    text = json.dumps(vars(reply), allow_nan=False, ensure_ascii=False)
    assert "\0" not in reply.text and text.encode()
    assert all(value <= answer.ROUNDED for value in reply.logprobs.values())
