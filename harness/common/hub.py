"""Hub ids at their commits, and what stands in a printed plan for what nobody here can look up.

    resolve("model", "org/name", "main", ...)  ->  "org/name@1f0a...e3"
    inside `unresolved_allowed()`              ->  "org/name@unresolved" without network and cache

The hub is asked within seconds, and after it was silent once, no more in this process.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Literal

Kind = Literal["model", "dataset"]

COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 5.0  # seconds
MARK = "@unresolved"


@dataclass
class _HubState:
    """Process-wide cache of hub answers; `dead` says why it is no longer queried, "" while it is."""

    commits: dict[tuple[Kind, str, str], str] = field(default_factory=dict)
    dead: str = ""


_HUB = _HubState()
_unresolved: ContextVar[list[str] | None] = ContextVar("unresolved", default=None)


class HubUnavailable(OSError):
    """The hub gave no answer: no network, a time-out, or offline mode."""


@contextmanager
def unresolved_allowed() -> Iterator[list[str]]:
    """For a plan that is only printed: what cannot be looked up inside stands as "name@unresolved", and its
    name is in the list that this gives, each once.
    """
    names: list[str] = []
    token = _unresolved.set(names)
    try:
        yield names
    finally:
        _unresolved.reset(token)


def stand_in(name: str, find: Callable[[], str]) -> str:
    """What `find` gives; its ValueError, or "name@unresolved" in its place where that is allowed."""
    try:
        return find()
    except ValueError as fault:
        return _unresolved_name(name, fault)


def _unresolved_name(name: str, fault: ValueError) -> str:
    names = _unresolved.get()
    if names is None:
        raise fault
    if name not in names:
        names.append(name)
    return f"{name}{MARK}"


def is_stand_in(ref: str) -> bool:
    """Whether a name or path is one that `stand_in` gave."""
    return ref.endswith(MARK)


def unresolved_line(names: list[str]) -> str:
    """One line on what a plan could not look up; "" where there is nothing to tell."""
    return f"not resolved, so the ids of their steps will change: {', '.join(names)}" if names else ""


def resolve(kind: Kind, repo: str, revision: str, remedy: str) -> str:
    """ "repo@commit": the commit of a revision is itself, or the hub's word, or that of the local cache.

    ValueError, with `remedy`, where none of these is to be had, and where the hub knows no such repository
    or revision, whatever is allowed.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if COMMIT.fullmatch(revision):
        return f"{repo}@{revision}"
    try:
        return f"{repo}@{_asked(kind, repo, revision)}"
    except HFValidationError as error:
        raise ValueError(f"{repo!r} is neither a file nor a hub id") from error
    except OSError as error:
        if found := _cached(kind, repo, revision):
            return f"{repo}@{found}"
        told = str(error) if isinstance(error, HubUnavailable) else type(error).__name__
        fault = f"{kind} {repo}: revision {revision!r} is not in the hub's cache, and the hub said {told}"
        # The hub answers 404 to a gated repository as well as to none: only the first may be there after all.
        known_absent = isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError))
        if known_absent and not isinstance(error, GatedRepoError):
            raise ValueError(f"{fault}; {remedy}") from error
        return _unresolved_name(repo, ValueError(f"{fault}; {remedy}"))


def silence() -> str:
    """Why the hub gives no answer here; "" where it does."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    if constants.HF_HUB_OFFLINE:
        return "not asked (HF_HUB_OFFLINE)"
    try:
        _within(TIMEOUT, lambda: str(get_session().head(constants.ENDPOINT, timeout=TIMEOUT)))
    except (HTTPError, OSError) as error:
        return f"gives no answer ({type(error).__name__})"
    return ""


def is_cached(kind: Kind, repo: str) -> bool:
    """Whether the local cache knows a repository."""
    from huggingface_hub.errors import HFValidationError

    try:
        return bool(_cached(kind, repo, "main"))
    except HFValidationError:
        return False


def model_files(ref: str, patterns: Sequence[str]) -> Path | None:
    """A folder with the files of a model ("org/name@commit") that have such names; None where neither cache
    nor hub has them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    if is_stand_in(ref):
        return None
    name, _, commit = ref.partition("@")
    here = bool(_HUB.dead)
    try:
        return Path(
            snapshot_download(name, revision=commit, allow_patterns=[*patterns], local_files_only=here)
        )
    except (OSError, HTTPError):
        return None


def snapshot(ref: str) -> Path | None:
    """The folder that the local cache has of a model ("org/name", "org/name@revision"), however much of it;
    None where it has none.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    name, _, revision = ref.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, local_files_only=True))
    except (OSError, HFValidationError):
        return None


def _asked(kind: Kind, repo: str, revision: str) -> str:
    """The hub's word on a revision. Silent where it gives none, HfHubHTTPError where it refuses."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.utils._validators import validate_repo_id

    validate_repo_id(repo)
    if constants.HF_HUB_OFFLINE:
        raise HubUnavailable("nothing (HF_HUB_OFFLINE)")
    if (kind, repo, revision) in _HUB.commits:
        return _HUB.commits[kind, repo, revision]
    if _HUB.dead:
        raise HubUnavailable(_HUB.dead)
    api = HfApi()
    about = api.model_info if kind == "model" else api.dataset_info
    try:
        commit = str(_within(TIMEOUT, lambda: about(repo, revision=revision, timeout=TIMEOUT).sha))
    except HfHubHTTPError:
        raise
    except (HTTPError, OSError) as error:
        _HUB.dead = f"nothing ({type(error).__name__})"
        raise HubUnavailable(_HUB.dead) from error
    _HUB.commits[kind, repo, revision] = commit
    return commit


def _within(seconds: float, call: Callable[[], str | None]) -> str | None:
    """What a call gives, or TimeoutError: to find the address of a host has no time limit of its own."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    found: Future[str | None] = Future()

    def ask() -> None:
        try:
            found.set_result(call())
        except (HTTPError, OSError, ValueError) as error:
            found.set_exception(error)

    Thread(target=ask, daemon=True).start()
    return found.result(timeout=seconds)


def _cached(kind: Kind, repo: str, revision: str) -> str:
    """The commit that the local cache knows for a revision; "" where it knows none."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repo, repo_type=kind)
    ref = Path(constants.HF_HUB_CACHE) / folder / "refs" / revision
    return ref.read_text().strip() if ref.is_file() else ""
