"""Benchmarks by category."""

from collections.abc import Iterable, Sequence
from math import fsum

from markupsafe import Markup

from reports.page.figures import vega
from reports.page.figures.figure import Figure
from reports.records.benchmarks import DEFAULT, Benchmarks
from reports.records.rows import Summary


def categories(
    summaries: Iterable[Summary], methods: Sequence[str], benchmarks: Benchmarks = DEFAULT
) -> list[Figure]:
    """Benchmarks by category, means over seeds: the darker, the higher."""
    numbers: dict[str, dict[tuple[str, str], dict[tuple[str, str], list[float]]]] = {}
    for s in summaries:
        # How many categories there are is the data's, so it is read off the summaries' names.
        declared = benchmarks.get(s.benchmark).categories
        if declared and s.metric.startswith(declared.prefix):
            cells = numbers.setdefault(s.benchmark, {}).setdefault((s.dataset, s.judge), {})
            cells.setdefault((s.method, s.metric.removeprefix(declared.prefix)), []).append(s.value)
    figures = []
    for benchmark in (b for b in benchmarks if b.name in numbers):
        assert benchmark.categories
        variants = numbers[benchmark.name]
        sets, judges = ({key[at] for key in variants} for at in (0, 1))
        for (dataset, judge), cells in sorted(variants.items()):
            values = []
            for (method, category), scores in sorted(cells.items()):
                # Sorted, so that the order of rows changes no last digit.
                mean = fsum(sorted(scores)) / len(scores)
                value = {"method": method, "category": category, "mean": mean, "text": f"{mean:.1f}"}
                values.append(value | {"label": f"{method}, {category}: {mean:.2f}"})
            where = [dataset] * (len(sets) > 1) + [f"judge {judge}"] * (len(judges) > 1)
            title = ", ".join([f"{benchmark.title} by category", *where])
            drawn = _heat(values, methods, benchmark.categories.range)
            figures.append(Figure(title, drawn, benchmark.categories.note))
    return figures


def _heat(values: Sequence[dict[str, object]], methods: Sequence[str], span: tuple[float, float]) -> Markup:
    x = {
        "field": "category",
        "type": "nominal",
        "axis": {"title": None, "orient": "top", "labelAngle": -45, "ticks": False, "domain": False},
        "scale": {"paddingInner": 0.04},
    }
    measured = {v["method"] for v in values}
    y = vega.names("method", [m for m in methods if m in measured], scale={"paddingInner": 0.06})
    strength = {
        "field": "mean",
        "type": "quantitative",
        "legend": None,
        "scale": {"domain": list(span), "range": [0.03, 0.5]},
    }
    cell = {"type": "rect", "color": vega.ACCENT, "cornerRadius": 2}
    text = {"type": "text", "fontSize": 10, "aria": False, "color": vega.INK}
    layers = [
        vega.layer(cell, fillOpacity=strength, description=vega.LABEL),
        vega.layer(text, text={"field": "text"}),
    ]
    return vega.svg(
        vega.data(values) | {"height": {"step": 21}, "encoding": {"x": x, "y": y}, "layer": layers}
    )
