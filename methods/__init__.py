"""Every method of the benchmark, in the row order of the papers' tables.

To add one: write methods/yours.py ending in METHOD and add a line here; or expose METHOD under the
entry-point group "bench.methods" from another package; or name the file, `bench run --method-file yours.py`.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points

from methods import adpa, dckd, dpo, seqkd, sft, vanillakd
from methods.api import Method

BUILT_IN: tuple[Method, ...] = (
    sft.METHOD,
    dpo.METHOD,
    vanillakd.METHOD,
    seqkd.METHOD,
    dckd.METHOD,
    adpa.METHOD,
    replace(adpa.METHOD, name="ADPA+", starts_from="DCKD"),
)


def registry(extra: Sequence[Method] = ()) -> dict[str, Method]:
    """Name -> method: the built-in ones in table order, then entry points, then `extra`; a name twice is an
    error.
    """
    found = [*BUILT_IN, *(e.load() for e in entry_points(group="bench.methods")), *extra]
    names = [m.name for m in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"method registered twice: {', '.join(twice)}")
    return dict(zip(names, found, strict=True))


def get(name: str, known: Mapping[str, Method]) -> Method:
    """The method of that name; ValueError with the nearest name where there is none."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no method {name!r}{hint} Known: {', '.join(known)}")
    return known[name]
