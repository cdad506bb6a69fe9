"""How long the steps of a plan took."""

from collections.abc import Sequence

from reports.page.figures import vega
from reports.page.figures.figure import ROW, Figure


def kinds(seconds: Sequence[tuple[str, float, int]]) -> Figure:
    """How long the steps of each kind took together: (kind, seconds, number of steps), longest first."""
    values = [{"kind": k, "seconds": s, "label": f"{k}: {s:,.1f} s in {n} steps"} for k, s, n in seconds]
    bar = {"type": "bar", "color": vega.ACCENT, "height": {"band": 0.62}}
    x, y = (
        vega.quantity("seconds", "seconds", scale={"zero": True}),
        vega.names("kind", [k for k, _, _ in seconds]),
    )
    drawn = vega.svg(
        vega.data(values) | {"height": {"step": ROW}} | vega.layer(bar, x=x, y=y, description=vega.LABEL)
    )
    return Figure("Seconds by kind of step", drawn)
