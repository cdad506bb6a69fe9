"""Who is asked is a part of ids: where an endpoint is and what it names, or the weights that are served."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import methods
from harness.common import hub
from harness.endpoints import served
from harness.endpoints.wire import Endpoint
from harness.evaluate import registry
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan.endpoints import Endpoints
from harness.store.step import Step
from harness.suite import loading
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV, Running
from tests.harness.models.tiny_models import tiny_folder

DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv(KEY_ENV, KEY)
    yield from judging_server.running(tmp_path / "a.jsonl")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Running]:
    yield from judging_server.running(tmp_path / "b.jsonl")


def steps(
    folder: Path, model: dict[str, Any], judge: dict[str, Any], endpoints: Endpoints | None = None
) -> dict[str, Step]:
    """The answers and judgments of a suite of one row, by kind."""
    data = folder / "questions"
    data.mkdir(exist_ok=True)
    raw = {
        "name": "e",
        "models": {"row": model},
        "judges": {"judge": judge},
        "benchmarks": {"mt-bench": {"judge": "judge", "data": str(data)}},
    }
    suite = loading.suite_of(raw, registry.known(), "test")
    found = planning.plan(suite, methods.registry(), Machine(), endpoints=endpoints).steps
    return {s.kind.name: s for s in found}


def at(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "model": "student", "api_key_env": KEY_ENV, **more}


def judged_at(url: str, **more: Any) -> dict[str, Any]:
    return {"model": "student", "base_url": url, "api_key_env": KEY_ENV, **more}


CONTROL = {"control": "constant"}


def test_two_servers_of_one_name_are_two_steps_and_one_server_is_one(
    server: Running, other: Running, tmp_path: Path
) -> None:
    one, two = (steps(tmp_path, at(s.url), judged_at(s.url)) for s in (server, other))
    same = server.url.replace("http://", "HTTP://user:secret@") + "/"
    again = steps(
        tmp_path, at(same, max_refused=0.5), judged_at(same, timeout=9.0, concurrency=2, max_refused=0.5)
    )
    for kind in ("answers", "judgments"):
        assert one[kind].id != two[kind].id and one[kind].id == again[kind].id
        assert "secret" not in str(again[kind].settings_record)
    judges = {steps(tmp_path, CONTROL, judged_at(s.url))["judgments"].id for s in (server, other)}
    assert len(judges) == 2


def test_of_how_an_endpoint_is_asked_the_temperature_alone_is_identity(
    server: Running, tmp_path: Path
) -> None:
    def ids(**more: Any) -> tuple[str, str]:
        planned = steps(tmp_path, at(server.url, **more), judged_at(server.url, **more))
        return planned["answers"].id, planned["judgments"].id

    plain = ids()
    how = {"max_wait": 9, "attempts": 1, "timeout": 3.0, "tokens_field": "max_completion_tokens"}
    assert ids(**how) == ids(temperature="benchmark") == plain
    none, one = ids(temperature=None), ids(temperature=1)
    for answers_or_judgments in zip(plain, none, one, strict=True):
        assert len(set(answers_or_judgments)) == 3


def test_a_server_that_names_other_models_is_another(server: Running, tmp_path: Path) -> None:
    ids = []
    for listed in (
        [{"id": "student"}],
        [{"id": "student", "root": "/runs/dpo-2"}],  # trained again, under the same name
        [{"id": "/runs/dpo-3.gguf"}],  # a server that answers to any name
        [{"id": "student", "created": "now"}],
    ):
        server.names(*listed)
        ids.append([s.id for s in steps(tmp_path, at(server.url), judged_at(server.url)).values()])
    assert ids[0] == ids[3] and len({tuple(one) for one in ids}) == 3


def test_of_a_providers_catalogue_the_model_that_is_asked_alone_counts(server: Running) -> None:
    endpoint = Endpoint("student", server.url, KEY_ENV)
    for count in (20, 21):
        server.names({"id": "student", "root": "org/student"}, *({"id": f"m{n}"} for n in range(count)))
        assert served.names(endpoint) == ["org/student", "student"]
    server.names({"id": "b"}, {"id": "a"})
    assert served.names(endpoint) == ["a", "b"]


def test_a_server_without_a_list_names_nothing(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.names(Endpoint("student", server.url, KEY_ENV)) == []
    server.names({"id": "student"})
    monkeypatch.setenv(KEY_ENV, "another")
    with pytest.raises(
        ValueError, match=f"status 401, wrong key or no access; the key is read from {KEY_ENV}"
    ):
        served.names(Endpoint("student", server.url, KEY_ENV))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("HTTPS://user:secret@API.Example.com:443/v1", "https://api.example.com/v1"),
        ("http://api.example.com:80", "http://api.example.com"),
        ("http://api.example.com:443/V1", "http://api.example.com:443/V1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_is_scheme_host_port_and_path(url: str, address: str) -> None:
    assert served.address(url) == address


@pytest.mark.parametrize("end", ["?key=secret", "#secret"])
def test_a_url_with_more_than_a_path_is_refused_without_telling_it(end: str) -> None:
    with pytest.raises(ValueError, match=r"http://host/v1: a base URL has no \?query") as e:
        served.address(f"http://name:secret@host/v1{end}")
    assert "secret" not in str(e.value)
    with pytest.raises(ValueError, match=r"^http://host:abc/v1: not a URL") as e:
        served.address("http://name:secret@host:abc/v1")


def test_messages_and_logs_name_an_endpoint_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with pytest.raises(ValueError, match=f"^student at {DOWN} does not answer"):
        served.names(Endpoint("student", DOWN.replace("//", "//user:secret@"), KEY_ENV))


def test_what_cannot_be_asked_is_marked_in_a_plan_and_refused_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with hub.unresolved_allowed() as names:
        found = steps(tmp_path, CONTROL, judged_at(DOWN))
    assert names == [f"student at {DOWN}"]
    assert found["judgments"].settings_record["judge"]["served"] == [f"student at {DOWN}@unresolved"]
    with pytest.raises(ValueError, match=f"student at {DOWN} does not answer .*; nothing was done"):
        steps(tmp_path, CONTROL, judged_at(DOWN))


def test_openais_own_catalogue_is_not_asked_for(tmp_path: Path) -> None:
    judge = steps(tmp_path, CONTROL, {"model": "gpt-4"})["judgments"].settings_record["judge"]
    assert judge["base_url"] == "https://api.openai.com/v1" and "served" not in judge


def test_reuse_takes_an_endpoint_for_the_latest_of_its_model_that_was_asked(
    server: Running, other: Running, tmp_path: Path
) -> None:
    before = [steps(tmp_path, at(s.url), judged_at(s.url)) for s in (server, other)]
    asked = [s["answers"].settings_record["endpoint"] for s in before]
    known = Endpoints(lambda: [{"model": "another", "seed": 0}, *asked], reuse=True)
    found = steps(tmp_path, at(DOWN), judged_at(other.url), known)
    assert found["answers"].id == before[0]["answers"].id
    assert known.notes == [f"student at {DOWN} is taken for what answered at {server.url}"]
    same_place = Endpoints(lambda: asked, reuse=True)
    assert steps(tmp_path, at(other.url), judged_at(other.url), same_place)["answers"].id == (
        before[1]["answers"].id
    )
    assert same_place.notes == []


def test_reuse_takes_what_was_asked_before_addresses_were_recorded() -> None:
    who = {"model": "student", "seed": 0}
    known = Endpoints(lambda: [who], reuse=True)
    assert known.identified(who, {"model": "student", "base_url": DOWN, "api_key_env": ""}) == who
    assert known.notes == [
        f"student at {DOWN} is taken for what answered at an address that was not recorded"
    ]


def test_an_endpoint_that_is_down_is_what_answered_there_before(tmp_path: Path) -> None:
    who = {"model": "student", "seed": 0, "base_url": DOWN, "served": ["student"]}
    known = Endpoints(lambda: [who | {"base_url": "http://127.0.0.1:8/v1"}, who])
    where = {"model": "student", "base_url": DOWN, "api_key_env": ""}
    found = known.identified({"model": "student", "seed": 0}, where)
    assert found == who
    (note,) = known.notes
    assert note.startswith("not resolved, taken for what answered there before: student at")


def test_of_a_server_of_our_own_the_weights_and_arguments_are_identity(tmp_path: Path) -> None:
    def judgments(folder: Path, **more: Any) -> str:
        judge = {"kind": "server", "model": str(folder), **more}
        return steps(tmp_path, CONTROL, judge)["judgments"].id

    one, copy, trained = (
        tiny_folder(tmp_path / name, seed=seed) for name, seed in (("one", 0), ("copy", 0), ("trained", 1))
    )
    first = judgments(one)
    assert judgments(copy) == judgments(one, timeout=9.0, concurrency=1) == first
    started = [judgments(one, engine="vllm"), judgments(one, arguments=["--device", "cpu"])]
    others = [judgments(trained), *started]
    assert len({first, *others}) == 4
