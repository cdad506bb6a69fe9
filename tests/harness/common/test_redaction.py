"""What is taken out of a text before a person reads it, and what stays."""

import time

import pytest

from harness.common.secrets.redaction import (
    check_proxies,
    logins_of_proxies,
    texts_without_secrets,
    without_secrets,
)
from harness.common.text import cut

KEY = "sk-proj-Ab3dE5gH1jKl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http:/me:pw123456@h/x", "http:/h/x"),  # of pathlib
        (r"http:\\me:pw123456@h/x", "h/x"),
        ("me:pw123456@127.0.0.1:9/v1", "127.0.0.1:9/v1"),
        ("http://me:a/b#c?d@h/x", "http://h/x"),
        ("http://me: a b@h/x", "http://h/x"),
        ("asked http://h:80, and mail me@here", "asked http://h:80, and mail me@here"),
        ("http://h:8000/v1#org/name@revision", "http://h:8000/v1#org/name@revision"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
        (
            "//h/?max_tokens=512&author=me&keyword=a&MAX_TOKENS=9",
            "//h/?max_tokens=512&author=me&keyword=a&MAX_TOKENS=9",
        ),
        (
            "//h/?apiKey=a&X-Amz-Signature=b&key2=c&API_KEY=d&oauth=e",
            "//h/?apiKey=...&X-Amz-Signature=...&key2=...&API_KEY=...&oauth=...",
        ),
        ("//h/?api%5Fkey=f&design=b&MAX_TOKENS=9", "//h/?api%5Fkey=...&design=b&MAX_TOKENS=9"),
        ("//h/?sign=a&keys=b&APIKEYS=c&tokenvalue=d", "//h/?sign=...&keys=...&APIKEYS=...&tokenvalue=..."),
        ("https://hub.example.co: none of org/name@main", "https://hub.example.co: none of org/name@main"),
        ("no folder org/name@revision", "no folder org/name@revision"),
        ("store:/runs/a@b", "store:/runs/a@b"),
        (f"models.{KEY}: unknown", "models.<a key>: unknown"),
        (f"hf_{'a' * 34}", "<a key>"),
        ("hf_gemma_2_9b_it_of_2024_and_more_words", "hf_gemma_2_9b_it_of_2024_and_more_words"),
        ("task-of-1234567890123", "task-of-1234567890123"),
        ("sk-learn and sk-local", "sk-learn and sk-local"),
        ("sk-learn-model-2024-v1", "sk-learn-model-2024-v1"),
        ("linux-x64-py311 and Qwen2.5-0.5B-it", "linux-x64-py311 and Qwen2.5-0.5B-it"),
        ("Mixtral-8x7B-v0.1", "Mixtral-8x7B-v0.1"),
        ("Key c0ffee1234567890 of one that is set", "Key <a key> of one that is set"),
        ("Token kqzxjvwbqhpdtmcyrlgs12 of one that is set", "Token <a key> of one that is set"),
        ("by the proxy, me/pa55word/0000", "by the proxy, me/pa55word/0000"),
        ("by the proxy, pa55wordpa55word", "by the proxy, <a key>"),
        ("/home/me/key-2024.pem", "/home/me/key-2024.pem"),
    ],
)
def test_keys_and_passwords_are_taken_out_and_no_others(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "c0ffee1234567890")
    monkeypatch.setenv("TLS_KEY", "/home/me/key-2024.pem")
    monkeypatch.setenv("CACHE_KEY", "linux-x64-py311")
    monkeypatch.setenv("MODEL_TOKEN", "Qwen2.5-0.5B-it")
    monkeypatch.setenv("OTHER_TOKEN", "kqzxjvwbqhpdtmcyrlgs12")
    monkeypatch.setenv("MONKEY", "Mixtral-8x7B-v0.1")
    monkeypatch.setenv("https_proxy", "http://me:pa55wordpa55word@127.0.0.1:9")
    assert without_secrets(text) == shown
    assert texts_without_secrets({text: [(text,), 1]}) == {shown: [[shown], 1]}
    assert {"pa55wordpa55word", "me:pa55wordpa55word"} <= logins_of_proxies()


@pytest.mark.parametrize("repeated", ["sk-", "(a:", "//a:", "?key", "a.b:", "hf_"])
def test_long_answers_are_searched_in_time(repeated: str) -> None:
    begun = time.process_time()
    without_secrets(repeated * 20_000)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("proxy", ["http://me:pw@127.0.0.1:99999", "http://me:pw@[::1", "me:pw@h:x"])
def test_a_proxy_that_is_none_is_told_by_its_variable(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "[::1,*.x")
    check_proxies()
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ValueError, match=r"^ALL_PROXY of the environment is not a URL") as caught:
        check_proxies()
    assert "pw" not in str(caught.value)


def test_of_a_key_that_a_cut_goes_through_no_part_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "c0ffee1234567890c0ffee1234567890")
    given = f"{'x' * 40}c0ffee1234567890c0ffee1234567890{'y' * 60}"
    assert cut(given) == f"{'x' * 40}<a key>{'y' * 4}...{'y' * 26}"
