"""The keys of a suite, made from its schema: what each may be, its default, and what it means.

bench suites keys           docs/suite.md
bench suites keys judges    what of it begins with "judges"
bench suites keys timeout   this key, wherever it stands
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from harness.cli.pages.key_words import NEEDED, NOTHING, Key, fields_of, is_section, keys_of
from harness.cli.pages.method_pages import TEMPLATES
from harness.common.suggest import nearest
from harness.common.text import cut
from harness.evaluate import registry
from harness.suite.benchmarks import LIKE, Benchmarks
from harness.suite.judging import KIND, ChosenJudge
from harness.suite.schema import MOST_SEEDS, Suite
from harness.suite.training import MethodRecipe

ANY = "NAME"  # in a section's name, of what a suite calls as it likes
EXTENDS = Key(
    "extends",
    "text",
    NOTHING,
    "The name or path of a suite whose keys hold where this file says nothing; mappings are merged.",
)
LIKE_KEY = Key(
    LIKE,
    "a benchmark",
    NOTHING,
    f"What questions of your own are asked, judged and shown like; {ANY} is then a new name of yours.",
)


@dataclass(frozen=True)
class Section:
    """Keys that belong together, and each place of a suite where they stand."""

    keys: Sequence[Key]
    about: str
    places: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The shortest place."""
        return min(self.places, key=lambda place: place.count("."))


def sections() -> list[Section]:
    """All sections, those of a key in the order of the suite's keys."""
    found: dict[type, Section] = {}
    for place, model in _models():
        # Keys first, so that a section stands before those inside it; links are filled in below.
        found.setdefault(model, Section([], inspect.getdoc(model) or "")).places.append(place)
    names = {model: section.name for model, section in found.items()}
    filled = [
        Section([*_keys(model, names)], section.about, section.places) for model, section in found.items()
    ]
    order = ["", *Suite.model_fields]
    return sorted([*filled, *_of_kinds()], key=lambda one: order.index(one.name.partition(".")[0]))


def _models() -> Iterator[tuple[str, type]]:
    """Every place of a suite that has keys of its own, with its model."""
    yield "", Suite
    yield from _inside("", Suite)
    yield f"methods.{ANY}", MethodRecipe
    yield from _inside(f"methods.{ANY}", MethodRecipe)


def _inside(place: str, model: type) -> Iterator[tuple[str, type]]:
    for one in fields_of(model):
        for names, inner in _nested(one.hint):
            there = ".".join(filter(None, (place, one.name, *names)))
            yield there, inner
            yield from _inside(there, inner)


def _nested(hint: Any) -> Iterator[tuple[tuple[str, ...], type]]:
    """Models in a type, each with what stands between its key and its own keys."""
    if is_section(hint):
        if hint not in (Benchmarks, ChosenJudge):  # their keys are those of their kinds
            yield (), hint
        return
    mapping = (ANY,) if getattr(hint, "__origin__", None) is dict else ()
    for member in get_args(hint):
        yield from ((mapping + names, model) for names, model in _nested(member))


def _keys(model: type, names: Mapping[type, str]) -> Iterator[Key]:
    if model is Suite:
        yield EXTENDS
    for key in keys_of(model, lambda inner: f"[its keys](#{anchor(names[inner])})" if inner in names else ""):
        yield key._replace(allowed=IN_WORDS.get(key.name, key.allowed)) if model is Suite else key
    if model is MethodRecipe:
        yield HYPERPARAMETERS


HYPERPARAMETERS = Key(
    "...",
    "as its page says",
    "as published",
    "Its hyper-parameters, by their names: [methods](methods/README.md) has a page for each.",
)
# What the types of some keys do not say.
IN_WORDS = {
    "seeds": f"list of integer >= 0, each once; or by row such a list, or how many, 1 to {MOST_SEEDS}",
    "judges": "by name: the keys of its kind, below",
    "methods": "by name: [its keys](#methodsname)",
    "benchmarks": "by name: the keys of each, below",
}


def _of_kinds() -> Iterator[Section]:
    """Judges by their kinds, and benchmarks."""
    known = registry.known()
    for number, (name, kind) in enumerate(known.judges.items()):
        chosen = Key(KIND, name, NEEDED if number else f"`{name}`", "Which kind of judge it is.")
        about = inspect.getdoc(kind.settings) or ""
        yield Section([chosen, *keys_of(kind.settings, _repeats)], about, [f"judges.{ANY}, {KIND}: {name}"])
    for name, benchmark in known.benchmarks.items():
        declared = benchmark.declaration
        keys = keys_of(declared.settings, lambda inner: "")
        title = f"{declared.presentation.title}. {inspect.getdoc(declared.settings)}"
        yield Section([*keys, LIKE_KEY], title, [f"benchmarks.{name}"])


def _repeats(inner: type) -> str:
    """The one part of a judge that has keys of its own, written into a line."""
    return f"integer >= 2, or {{{', '.join(one.name + ': ...' for one in fields_of(inner))}}}"


def anchor(name: str) -> str:
    """The end of a link to a section, as GitHub and mkdocs make it of a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", name).strip().lower())


def page(place: str = "") -> str:
    """The reference as Markdown; or what of it begins with a place such as "judges"; or one key."""
    text = TEMPLATES.get_template("suite.md.j2").render(sections=asked(place), whole=not place)
    return re.sub("\n{3,}", "\n\n", text).strip()


def asked(name: str = "") -> list[Section]:
    """All sections; or those of a place; else of those that have a key of this name that key alone."""
    found = sections()
    if not name:
        return found
    if there := [one for one in found if any(f"{place}.".startswith(f"{name}.") for place in one.places)]:
        return there
    if having := [one for one in found if any(key.name == name for key in one.keys)]:
        return [replace(one, keys=[key for key in one.keys if key.name == name]) for one in having]
    known = dict.fromkeys([*Suite.model_fields, *(key.name for one in found for key in one.keys)])
    raise ValueError(f"no key {cut(repr(name))}; {nearest(name, list(known))}")
