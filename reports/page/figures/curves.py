"""What trainings logged on their way: a figure for each quantity, a thin line for each training."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from reports.page.figures import vega
from reports.page.figures.figure import Figure
from reports.records.replicates import among
from reports.records.rows import Curve
from reports.tables.table import is_untrained

HEIGHT = 150  # px
WIDE = 20  # times the lowest value: what is higher makes the axis logarithmic
COLOURS = 10  # that the page has for methods; those after them have dashes
DASHES = ([1, 0], [5, 2], [2, 2], [1, 3])
KINDS = ("gradient", "margin", "mean", "term")  # in the order of their figures
TITLES = {
    "grad_norm": "Gradient norm",
    "margin": "Margin: log pi(chosen) - log pi(rejected), nats",
    "reward_margin": "Reward margin: the margin less the reference's, nats",
}


class Look(NamedTuple):
    """How a method's lines are drawn in all figures: the number of its colour, and of its dashes."""

    method: str
    colour: int
    dash: int


def looks(methods: Sequence[str]) -> list[Look]:
    """The look of each method that is trained."""
    trained = [m for m in methods if not is_untrained(m)]
    return [Look(m, n % COLOURS, n // COLOURS % len(DASHES)) for n, m in enumerate(trained)]


def figures(curves: Sequence[Curve], known: Sequence[Look]) -> list[Figure]:
    """A figure for each quantity; the terms of a loss in the order of the methods that have them."""
    order = {look.method: n for n, look in enumerate(known)}
    found: dict[tuple[str, str], list[Curve]] = {}
    shown = (c for c in curves if c.method in order and any(v is not None for v in c.values))
    for c in sorted(shown, key=lambda c: (KINDS.index(c.kind), order[c.method], c.quantity, c.replicate)):
        found.setdefault((c.kind, c.quantity), []).append(c)
    return [_figure(kind, quantity, own, known) for (kind, quantity), own in found.items()]


def _figure(kind: str, quantity: str, curves: Sequence[Curve], known: Sequence[Look]) -> Figure:
    rows = points(curves)
    spans = [_span([row[axis] for row in rows]) for axis in ("step", "value")]
    # Norms, and terms with weights, differ by orders of magnitude among methods.
    log = 0 < spans[1][0] < spans[1][1] / WIDE
    names = list(dict.fromkeys(c.method for c in curves))
    note = ", ".join(names) if len(names) < 4 else ""
    axes = " ".join(f"{end:.9g}" for span in spans for end in span) + (" log" if log else "")
    return Figure(title(kind, quantity), _drawn(rows, spans, log, known), note, axes=axes, high=HEIGHT)


def title(kind: str, quantity: str) -> str:
    """A quantity in words; of a mean the statistic and the view that it is over."""
    view, _, statistic = quantity.partition(".")
    told = f"{statistic.replace('_', ' ')} on {view.replace('_', ' ')}" if statistic else quantity
    return TITLES.get(quantity, f"Loss term {quantity}" if kind == "term" else told)


def points(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """The points of some curves, each with the line that it is on and what that says."""
    known, several, rows = {c.replicate for c in curves}, _several(curves), []
    for n, c in enumerate(curves):
        own = [(s, v) for s, v in zip(c.steps, c.values, strict=True) if v is not None]
        name = ", ".join([c.method, *([c.dataset] if several else []), *among(c.replicate, known)])
        ends = ", ".join(f"{v:.4g} at step {s:,}" for s, v in dict.fromkeys((own[0], own[-1])))
        line = {"line": n, "method": c.method, "label": f"{name}: {ends}"}
        rows += [line | {"step": s, "value": v} for s, v in own]
    return rows


def _several(curves: Iterable[Curve]) -> bool:
    return len({c.dataset for c in curves}) > 1


def _span(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [low, high] if high > low else [low - 0.5, high + 0.5]


def _drawn(
    rows: Sequence[dict[str, Any]], spans: Sequence[list[float]], log: bool, known: Sequence[Look]
) -> Markup:
    # The axes end where the data do, so that the page can tell a point's numbers from its place.
    across, up = ({"domain": span, "nice": False} for span in spans)
    of_method = {"field": "method", "type": "nominal", "legend": None}
    names = [look.method for look in known]
    colours, dashes = [f"var(--c{look.colour})" for look in known], [DASHES[look.dash] for look in known]
    line = {"type": "line", "strokeWidth": 1.2, "opacity": 0.85}
    encoding = {
        "x": vega.quantity("step", "optimizer step", scale=across, axis={"tickCount": 4}),
        "y": vega.quantity("value", scale=up | ({"type": "log"} if log else {}), axis={"tickCount": 4}),
        "detail": {"field": "line", "type": "nominal"},
        "color": of_method | {"scale": {"domain": names, "range": colours}},
        "strokeDash": of_method | {"scale": {"domain": names, "range": dashes}},
        "description": vega.LABEL,
    }
    return vega.svg(vega.data(rows) | {"height": HEIGHT} | vega.layer(line, **encoding))


def notes(curves: Sequence[Curve], trained: Iterable[str]) -> list[str]:
    """What the curves leave out: lines of logs, values that are not finite, methods without a log."""
    kept, logged = (sum(n) for n in zip(*((len(c.steps), c.logged) for c in curves), strict=True))
    thinned = [c for c in curves if len(c.steps) < c.logged]
    lost = sum(v is None for c in curves for v in c.values)
    have = {c.method for c in curves}
    lacking = [m for m in dict.fromkeys(trained) if m not in have]
    return [
        f"{len(thinned)} of {len(curves)} curves are thinned; {kept:,} of {logged:,} logged values are drawn",
        *([f"{lost:,} value{'s are' if lost > 1 else ' is'} not finite and not drawn"] if lost else []),
        *([f"no log of {', '.join(lacking)}: trained before logs were kept"] if lacking else []),
    ]
