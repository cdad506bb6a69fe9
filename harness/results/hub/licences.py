"""The licences of models and data, as their homes state them."""

from pathlib import Path

from harness.common.hub import Kind
from harness.results.hub.origin import Origin


def known(origin: Origin) -> dict[str, str]:
    """The licences that the hub, or the card in a local model's folder, states, by repository or name."""
    found = {origin.base.name: _of_folder(origin.base.folder)}
    asked: list[tuple[Kind, str]] = [("model", origin.base.repository)]
    asked += [("dataset", data.source.repository) for data in origin.data]
    for kind, repository in dict.fromkeys(asked):
        if repository and not found.get(repository):
            found[repository] = _of_hub(kind, repository)
    return {name: licence for name, licence in found.items() if licence}


def _of_hub(kind: Kind, repository: str) -> str:
    """What a repository's card says; "" where it says nothing, or the hub cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    about = HfApi().model_info if kind == "model" else HfApi().dataset_info
    try:
        card = about(repository, timeout=5).card_data
    except (HTTPError, OSError):
        return ""
    return _text(card.get("license") if card else None)


def _of_folder(folder: Path) -> str:
    from huggingface_hub import ModelCard
    from yaml import YAMLError  # type: ignore[import-untyped]

    path = folder / "README.md"
    try:
        return _text(ModelCard.load(path).data.license) if path.is_file() else ""
    except (ValueError, YAMLError):  # of metadata that is none
        return ""


def _text(licence: object) -> str:
    return licence if isinstance(licence, str) else ""
