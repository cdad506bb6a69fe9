"""A benchmark or judge of one's own: its faults are lines with its file, and nonsense is no result."""

from pathlib import Path
from typing import Any

import numpy
import pytest

from benchmarks.api import Answer, Score, Unparsed
from harness.common.input.apart import first_fault
from harness.endpoints.responses.answer import LEAST_LOGPROB
from harness.evaluate import questions, registry
from harness.run.checks import benchmark_checks
from harness.suite.judging import Ask

HEAD = """import os, random, sys
from dataclasses import replace
import numpy
from benchmarks.api import *
from benchmarks.declaration import *
from harness.evaluate.judges import computed
ASKED = [Question("a", ("x",)), Question("b", ("y", "z"))]
def made(**over):
    parts = dict(sampling=lambda q: Sampling(), requests=lambda q, a, r: [Score(q.id, 0.5)])
    return JudgedBenchmark("kw", "share", **{**parts, "aggregate": lambda scores: {}, **over})
def load(folder, settings):
    return ASKED, made()
def bench(**over):
    parts = dict(settings=QuestionSettings, metric="share", load=load)
    shown = Presentation("KW", (Column("share", "KW (%)", "share"),))
    return Benchmark(**{"name": "kw", "presentation": shown, **parts, **over})
"""
LINE = HEAD.count("\n") + 1


def known(folder: Path, text: str, *, judge: bool = False) -> tuple[str, Any]:
    file = folder / "b.py"
    file.write_text(HEAD + text)
    found = registry.known(*(None, str(file)) if judge else (str(file), None))
    return str(file), found.judges["j"] if judge else found.benchmarks["kw"].declaration


def tried(folder: Path, text: str) -> None:
    file, _ = known(folder, text)
    benchmark_checks.attempt(file, "kw", str(folder), {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name=3", "benchmark 3.name: given 3; input should be a valid string"),
        ("settings=dict", "benchmark 'kw'.settings: given <class 'dict'>"),
        ("presentation=None", "benchmark 'kw'.presentation: given None"),
        ("load=3", "benchmark 'kw'.load: given 3"),
        ("unparsed='x'", "benchmark 'kw'.unparsed: given 'x'"),
        ("sizes=None", "benchmark 'kw'.sizes: given None"),
        ("settings=BenchmarkSettings", "benchmark kw: settings: given"),
        ("name=''", "benchmark : name: given ''"),
    ],
)
def test_a_wrong_part_is_told_with_the_file(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as fault:
        known(tmp_path, f"B = bench({text})")
    assert f"b.py: {told}" in str(fault.value)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("1 / 0", f":{LINE}: kw's load: ZeroDivisionError"),
        ("sys.exit(0)", f":{LINE}: kw's load: SystemExit: 0"),
        ("os._exit(0)", f":{LINE}: kw's load: SystemExit: os._exit(0)"),
        ("open('/nowhere/x')", f":{LINE}: kw's load: FileNotFoundError"),
        ("None", ": kw's load: it returns None; a list of Questions and a JudgedBenchmark"),
        ("(iter(ASKED), made())", "a list of Questions"),
        ("([{'id': 'a'}], made())", "question 1: given {'id': 'a'}; a Question(...)"),
        ("(ASKED * 2, made())", "question 3: id: given 'a', which another question has"),
        ("([Question(3, ('x',))], made())", "question 1: id: given 3"),
        ("([Question('a', ())], made())", "question 1: turns: given none"),
        ("([Question('a', 'xyz')], made())", "question 1: turns: given 'xyz'"),
        ("([Question(str(random.random()), ('x',))], made())", "other questions each time"),
        ("(ASKED, made(sampling=lambda q: None))", "kw's sampling: ValueError: given None; a Sampling"),
        ("(ASKED, made(requests=3))", "kw's JudgedBenchmark.requests: given 3"),
    ],
)
def test_what_a_load_does_or_gives_is_told(result: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as fault:
        tried(tmp_path, f"B = bench(load=lambda folder, settings: {result})")
    assert "b.py" in str(fault.value) and told in str(fault.value)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("None", "given None; a list of Scores or JudgeRequests"),
        ("[0.5]", "given 0.5; a Score or a JudgeRequest"),
        ("[Score(q.id, float('nan'))]", "given nan; a finite number"),
        ("[Score(q.id, 10**400)]", "or Unparsed(reply)"),
        ("[Score(q.id, '0.5')]", "given '0.5'; a finite number"),
        ("[Score(q.id, None)]", "given None; a finite number"),
        ("[Score(q.id, 50.0)]", "given 50.0; a finite number of 0 to 1, as its column is a share"),
        ("[Score('b', 0.5)]", "question: given 'b'; 'a', which was asked"),
        ("[Score(q.id, 0.5, turn=2)]", "turn: given 2; 1 to 1"),
        ("[Score(q.id, 0.5, turn=0)]", "turn: given 0; 1 to 1"),
        ("[Score(q.id, 0.5, order='cd')]", "order: given 'cd'; '', 'ab' or 'ba'"),
        ("[Score(q.id, 0.5, None)]", "given None; a category's name"),
        ("[JudgeRequest(q.id, ())]", "messages: given None; a role and a content"),
        (
            "[JudgeRequest(q.id, ({'role': 'user'},))]",
            "messages: given {'role': 'user'}; a role",
        ),
    ],
)
def test_a_verdict_that_is_none_is_told(result: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as fault:
        tried(tmp_path, f"B = bench(load=lambda f, s: (ASKED, made(requests=lambda q, a, r: {result})))")
    assert "b.py" in str(fault.value) and "kw's requests: " in str(fault.value) and told in str(fault.value)


def test_verdicts_of_every_kind_of_number_are_taken(tmp_path: Path) -> None:
    shares = "True, 1, 0.25, numpy.float32(0.5), 1.0000001, Unparsed('x')"  # the fifth a mean of float32
    scores = f"[Score(q.id, v, turn=numpy.int64(1)) for v in ({shares})]"
    _, declared = known(
        tmp_path,
        f"""B = bench(load=lambda f, s: (ASKED, made(requests=lambda q, a, r: {scores},
            aggregate=lambda given: {{'mean': numpy.float64(0.5)}})))""",
    )
    loaded, benchmark = questions.load(declared, tmp_path, {})
    given = benchmark.requests(loaded[0], Answer("a", ("x",), (1,), (False,)), None)
    values = [one.value for one in given if isinstance(one, Score)]
    assert values == [1.0, 1, 0.25, 0.5, 1.0000001, Unparsed("x")]
    assert {(one.turn, type(one.turn)) for one in given} == {(1, int)}
    assert not any(isinstance(value, bool | numpy.floating) and type(value) is not float for value in values)
    assert benchmark.aggregate([]) == {"mean": 0.5}


@pytest.mark.parametrize("result", ["None", "{3: 1.0}", "{'x': 'y'}", "{'x': float('nan')}"])
def test_numbers_of_a_whole_benchmark_are_numbers(result: str, tmp_path: Path) -> None:
    _, declared = known(tmp_path, f"B = bench(load=lambda f, s: (ASKED, made(aggregate=lambda g: {result})))")
    _, benchmark = questions.load(declared, tmp_path, {})
    with pytest.raises(ValueError, match=r"b\.py.*: kw's aggregate: ValueError: given "):
        benchmark.aggregate([])


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        ("1 / 0", f"b.py:{LINE}: the judge j: ZeroDivisionError"),
        ("None", "b.py: the judge j: AttributeError"),
        ("Reply(None)", "b.py: the judge j: ValueError: given None; the text of a reply"),
        ("Reply('x', {'m': float('nan')})", "given nan for 'm'; a log-probability"),
        ("Reply('x', {'m': 'x'})", "given 'x'; a log-probability"),
        ("Reply('x', finish_reason=None)", "given None; a finish reason"),
    ],
)
def test_what_a_judge_does_or_says_is_told(judge: str, told: str, tmp_path: Path) -> None:
    _, kind = known(tmp_path, f"J = computed('j', lambda messages: {judge})", judge=True)
    ask: Ask = kind.replies({}, {}, None)
    with pytest.raises(ValueError) as fault:
        ask([(({"role": "user", "content": "x"},), Any, 0)])  # type: ignore[list-item]
    assert told in str(fault.value)


def test_a_token_that_a_judge_rules_out_is_kept_as_json_can_say_it(tmp_path: Path) -> None:
    _, kind = known(
        tmp_path, "J = computed('j', lambda m: Reply('x', {'m': -1e400, 'M': numpy.float32(-1)}))", judge=True
    )
    (reply,) = kind.replies({}, {}, None)([(({"role": "user", "content": "x"},), Any, 0)])
    assert reply.logprobs == {"m": LEAST_LOGPROB, "M": -1.0}


def test_what_a_file_computed_at_its_import_does_not_hold_up_its_trial(tmp_path: Path) -> None:
    """Torch's threads are of the process that imported it, and a fork of that waited for them for ever."""
    text = """
import torch
E = torch.randn(50_000, 64); E = E / E.norm(dim=1, keepdim=True)
def requests(question, answer, reference):
    return [Score(question.id, float((E @ E[0]).mean().clamp(0, 1)))]
B = bench(load=lambda folder, settings: (ASKED, made(requests=requests)))
"""
    file, _ = known(tmp_path, text)
    assert first_fault(benchmark_checks.attempt, [(file, "kw", str(tmp_path), {})], 60) is None
