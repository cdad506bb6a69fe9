"""Vega-Lite specifications into SVG: no script runs in the page, and colours are the page's own.

A colour is a CSS variable ("var(--accent)"), which SVG resolves where it stands: one drawing serves light
and dark. What a mark says aloud (its aria-label) is also what the page shows when it is pointed at.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import escapes

Spec = dict[str, Any]
VERSION = "5.21"
WIDTH = 340  # px: a phone's
INK, MUTED, FAINT = "var(--ink)", "var(--muted)", "var(--faint)"
ACCENT, TEACHER_INK, STUDENT_INK = "var(--accent)", "var(--teacher)", "var(--student)"
PAPER = "var(--paper)"
CONFIG: Spec = json.loads(Path(__file__).with_name("vega_config.json").read_text(encoding="utf-8"))


# What figures have in common: a method's point, and where a mark's text stands.
POINT: Spec = {"type": "point", "filled": True, "size": 62, "opacity": 1}
# It says what its point says: it fades with it, and shows its numbers wherever it is pointed at.
WHISKER: Spec = {"type": "rule", "strokeWidth": 2, "opacity": 0.55, "ariaRoleDescription": "interval"}
LABEL: Spec = {"field": "label"}


def data(values: Iterable[object]) -> Spec:
    """The rows of a drawing, or of one of its layers."""
    return {"data": {"values": list(values)}}


def layer(mark: Spec, **encoding: Spec) -> Spec:
    """Marks that encode fields of the data in their position and looks."""
    return {"mark": mark, "encoding": encoding}


def svg(spec: Spec, width: int = WIDTH) -> Markup:
    """The drawing of a specification, `width` pixels wide over all."""
    import vl_convert  # a browser engine: only where something is drawn

    whole = {
        "background": None,
        "padding": {"left": 6, "right": 12, "top": 4, "bottom": 2},
        "width": width,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
    } | spec
    drawn = vl_convert.vegalite_to_svg(escapes.drawn(whole), vl_version=VERSION)
    assert 'id="' not in drawn, "ids count up from drawing to drawing: they clash, and no page is made twice"
    return Markup(drawn)


def quantity(field: str, title: str | None = None, **more: Any) -> Spec:
    """A quantitative encoding; its scale need not hold 0."""
    scale = {"zero": False, "nice": True} | more.pop("scale", {})
    axis = {"title": title, "tickCount": 5} | more.pop("axis", {})
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis} | more


def names(field: str, order: list[str], **more: Any) -> Spec:
    """A nominal encoding of methods in the order of their table."""
    axis = {"title": None, "ticks": False, "domain": False, "grid": False} | more.pop("axis", {})
    return {"field": field, "type": "nominal", "sort": order, "axis": axis} | more


def inks(field: str = "kind") -> Spec:
    """The colour of a mark by what kind of row it is: teacher, student, or a method of the run."""
    domain, colours = ["teacher", "student", "method"], [TEACHER_INK, STUDENT_INK, ACCENT]
    return {"field": field, "type": "nominal", "scale": {"domain": domain, "range": colours}, "legend": None}
