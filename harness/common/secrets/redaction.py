"""Keys and passwords in what people read, taken out on the way to a terminal or a file.

http://me:pw@host/v1?api_key=x    ->    http://host/v1?api_key=...
no folder sk-proj-Zq9x7vB1nM5j    ->    no folder <a key>
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

HIDDEN = "<a key>"
BEFORE_HOST = r"(?<=[:/\\][/\\])"  # pathlib makes one slash of two
# Of a URL what stands before the host: a password may hold what ends a host where it is not escaped, but
# what follows a port is a path, and what follows "host: " the words about it. Without a scheme it has a
# password, as hub ids with a revision have none. What repeats has an end: answers are searched, too.
CREDENTIALS = re.compile(
    rf"{BEFORE_HOST}(?:[^/\s\"'?#]*@|(?!(?:localhost|[\w-]+(?:\.[\w-]+)+): )"
    r"[^/\s\"'?#@:\[]*:(?!\d{1,5}\b)[^\n\"'@]{,80}@)"
    r"|(?<![\w/@.:-])[\w.+%-]+:[^\s\"'@/]{6,80}@(?=[\w.\[-]+[:/])"
)
# Of a query's names those with such a word, but for names in which it says something else.
KEYS = re.compile(
    r"(?i)(?<=[?&;])(?!(?:\w*tokens|tokenizers?|\w*authors?|\w*keywords?|\w*designs?|keyboard|signals?)=)"
    r"([\w.%-]{,40}(?:key|token|secret|passw|sig|auth|credential)[\w.%-]{,40}=)[^&#\s\"'<>]+"
)
# What makers of keys begin them with: OpenAI and many more, Hugging Face, Groq, GitHub, Google, NVIDIA, xAI.
TYPED = re.compile(
    r"(?<![A-Za-z0-9])sk-[\w-]{12,}|\b(?:hf|gsk|gh[pousr])_[A-Za-z0-9]{30,}|\bAIza[\w-]{30,}"
    r"|\b(?:nvapi|xai|pplx)-[\w-]{30,}"
)
SECRET = re.compile(r"(?i)(?:key|token|secret|password)$")  # of a variable's name
LEAST = 12  # characters of a secret
# A part of a name, which a variable may hold as well as a key: Qwen2, 5B, x86, 2024, 8x7b.
OF_NAME = re.compile(r"[A-Za-z]*|[A-Za-z]{,14}\d{,4}[A-Za-z]?|\d*|\d{1,3}x\d{1,3}[bB]?")
PROXY = "_proxy"


def without_credentials(text: str) -> str:
    """A text without the user, password and keys of the URLs in it."""
    return KEYS.sub(r"\1...", CREDENTIALS.sub("", text))


def without_secrets(text: str) -> str:
    """A text without those, without what looks like a key, and without the keys of the environment."""
    return _without(_of_environment(), text)


def texts_without_secrets(value: Any) -> Any:
    """What JSON is to be of, each text in it without secrets; JSON itself would lose the backslash of a quote
    that ends a key.
    """
    secrets = _of_environment()  # once for all texts

    def told(one: Any) -> Any:
        if isinstance(one, str):
            return _without(secrets, one)
        if isinstance(one, Mapping):
            return {told(key): told(inner) for key, inner in one.items()}
        return list(map(told, one)) if isinstance(one, list | tuple) else one

    return told(value)


def json_text(value: Any) -> str:
    """A value as JSON that a program reads, each text in it without secrets. ValueError for NaN and infinity,
    which are no JSON.
    """
    return json.dumps(texts_without_secrets(value), indent=1, allow_nan=False)


def logins_of_proxies() -> set[str]:
    """What the environment's proxies are sent: user and password, and the password alone."""
    found = set()
    for name, value in os.environ.items():
        if name.lower().endswith(PROXY):
            login = value.rpartition("@")[0].rpartition("//")[2]
            found |= {login, unquote(login), unquote(login.partition(":")[2])}
    return found - {""}


def check_proxies() -> None:
    """ValueError, with its variable, for a proxy of the environment that is no URL."""
    for name, value in os.environ.items():
        if name.lower().endswith(PROXY) and name.lower() != "no_proxy":
            try:
                _ = urlsplit(value if "//" in value else f"//{value}").port
            except ValueError as e:
                raise ValueError(f"{name} of the environment is not a URL ({e})") from None


def _of_environment() -> list[str]:
    """The keys in it, the longest first, as one may hold another. Paths of key files are none."""
    named = {value.strip() for name, value in os.environ.items() if SECRET.search(name)}
    return sorted(filter(_is_secret, named | logins_of_proxies()), key=len, reverse=True)


def _without(secrets: Sequence[str], text: str) -> str:
    text = without_credentials(text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return TYPED.sub(_typed, text)


def _typed(found: re.Match[str]) -> str:
    name = found[0].startswith("sk-") and _is_name(found[0])
    return found[0] if name else HIDDEN


def _is_secret(value: str) -> bool:
    plain = value[:1] not in ("/", "~", ".") and "://" not in value and not re.search(r"\s", value)
    return plain and len(value) >= LEAST and not _is_name(value)


def _is_name(value: str) -> bool:
    """Whether it is written as names of models and files are, which tables need."""
    return all(map(OF_NAME.fullmatch, re.split(r"[\W_]+", value)))
