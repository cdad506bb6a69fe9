"""The upload of a folder to the hub, refused before any work where it could not end well."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What an earlier model of the same name may have left: a loader would read it beside the new one's.
OF_MODEL = ("*.safetensors", "*.safetensors.index.json", "*.jinja")


def check_name(to: str) -> None:
    """ValueError where it is no name of a repository with its owner."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(to)
    except HFValidationError as fault:
        raise ValueError(f"--to {to}: {fault}") from None
    if "/" not in to:
        raise ValueError(f"--to {to}: must be OWNER/NAME, such as my-org/{to}")


def check(to: str, private: bool) -> None:
    """ValueError without a token that the hub knows, and where private weights would be for all to see."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    with _told(to):
        api.whoami()
        try:
            there = api.model_info(to)
        except RepositoryNotFoundError:
            return
    if private and not there.private:
        raise ValueError(f"--to {to}: it is there and public; --public, if all may see it, or another name")


def upload(folder: Path, to: str, private: bool) -> str:
    """Make the repository if it is not there, and upload the folder as one commit; returns its address."""
    from huggingface_hub import HfApi

    api = HfApi()
    with _told(to):
        api.create_repo(to, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=to,
            folder_path=folder,
            commit_message=f"Upload {to} by prefbench",
            delete_patterns=list(OF_MODEL),
        )
    return str(done.commit_url)


@contextmanager
def _told(to: str) -> Iterator[None]:
    """What the hub or the network refuses, in one line: a token or a name is a person's to mend."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HTTPError,
        LocalTokenNotFoundError,
    )

    try:
        yield
    except LocalTokenNotFoundError:
        raise ValueError(f"--to {to}: no token of the hub; hf auth login, or HF_TOKEN") from None
    except HfHubHTTPError as fault:
        code = fault.response.status_code
        line = f"--to {to}: the hub refused ({code}): {fault.server_message or str(fault).splitlines()[0]}"
        if code in (400, 401, 403, 404):
            raise ValueError(line) from None
        raise OSError(line) from None
    except HTTPError as fault:
        raise OSError(f"--to {to}: no answer of the hub ({type(fault).__name__})") from None
