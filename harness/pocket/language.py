"""The words of the pocket world, from data/language.yaml: names, values, paraphrases, how answers sound."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DATA = Path(__file__).with_name("data")
# To parse it takes some 60 ms of every start. JSON would take one, and hold no comments.
LANGUAGE: dict[str, Any] = YAML(typ="safe", pure=True).load(DATA / "language.yaml")
