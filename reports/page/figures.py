"""The figures of a run, from its tables as they are shown, and from its rows where no table has them.

Every figure is SVG with text as text; a mark's name and numbers are its aria-label.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

from markupsafe import Markup

from reports.page import vega
from reports.page.table_views import CellView, RowView, TableView
from reports.records.benchmarks import DEFAULT, Benchmarks
from reports.records.rows import Record, Summary, Training
from reports.tables.table import STUDENT, TEACHER, Column

ROW = 19  # px of a method's line
HUNDRED = 100


class Figure(NamedTuple):
    """A drawing with its title, and a line that says how to read it."""

    title: str
    svg: Markup
    note: str = ""


def kind(method: str) -> str:
    """What a row is: the teacher, the student it all starts from, or a method."""
    return {TEACHER: "teacher", STUDENT: "student"}.get(method, "method")


def scale(column: Column) -> int:
    """Shares are shown in percent."""
    return HUNDRED if column.unit == "share" else 1


def number(view: CellView) -> float | None:
    return float(view.cell.value) if isinstance(view.cell.value, float | int) else None


def spread(view: CellView, column: Column) -> tuple[float, float, float] | None:
    """A cell's value on the axis and the ends of its interval; where it has none, they are the value."""
    if (value := number(view)) is None:
        return None
    low, high = (value if v is None else v for v in (view.cell.low, view.cell.high))
    return scale(column) * value, scale(column) * low, scale(column) * high


def domain(values: Sequence[float]) -> list[float]:
    """The span of the values with some room."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or abs(high) or 1.0
    return [low - room, high + room]


def datasets(table: TableView) -> dict[str, list[RowView]]:
    """The rows of each dataset of a table."""
    by_dataset: dict[str, list[RowView]] = {}
    for row in table.rows:
        by_dataset.setdefault(row.dataset, []).append(row)
    return by_dataset


def forests(table: TableView) -> list[Figure]:
    """A panel for each column: every method's value with its interval, the Student's as a line."""
    several = len(datasets(table)) > 1
    return [
        Figure(table.columns[i].title + (f", {dataset}" if several else ""), drawn)
        for i in range(len(table.columns))
        for dataset, rows in datasets(table).items()
        if (drawn := _forest(rows, i, table.columns[i]))
    ]


def _forest(rows: Sequence[RowView], i: int, column: Column) -> Markup | None:
    values = []
    for row in rows:
        if numbers := spread(row.cells[i], column):
            text = row.cells[i].text
            label = f"{row.method}: {text.value} {text.interval}".strip()
            one = {"method": row.method, "kind": kind(row.method), "label": label}
            values.append(one | dict(zip(("value", "low", "high"), numbers, strict=True)))
    if not values:
        return None
    y = vega.names("method", [r.method for r in rows])
    student = vega.data(v for v in values if v["kind"] == "student")
    dashes = {"type": "rule", "strokeDash": [3, 3], "aria": False}
    interval = {"type": "rule", "strokeWidth": 2, "opacity": 0.55, "aria": False}
    layers = [
        # Drawn first, so that it lies under the marks.
        student | vega.layer(dashes, x=vega.quantity("value"), color={"value": vega.STUDENT_INK}),
        vega.layer(interval, y=y, x=vega.quantity("low"), x2={"field": "high"}, color=vega.inks()),
        vega.layer(vega.POINT, y=y, x=vega.quantity("value"), color=vega.inks(), description=vega.LABEL),
    ]
    return vega.svg(vega.data(values) | {"height": {"step": ROW}, "layer": layers})


def changes(trained: Sequence[Training], methods: Sequence[str]) -> list[Figure]:
    """Loss after training as a share of the loss before, and margins before and after; means over seeds."""
    # Of an objective that the method raises, nothing is "left".
    lowered = [t for t in trained if t.objective == "loss"]
    panels = [
        (
            "Loss after training, % of before",
            ("on the probe", _share([(t.method, t.loss_before, t.loss_after) for t in trained])),
            ("on held-out prompts", _share([(t.method, t.held_before, t.held_after) for t in lowered])),
        ),
        (
            "Margin on held-out pairs, nats",
            ("before", _means([(t.method, t.margin_before) for t in trained])),
            ("after", _means([(t.method, t.margin_after) for t in trained])),
        ),
    ]
    return [
        Figure(title, _dumbbell(first, second, methods), f"hollow: {first[0]}, filled: {second[0]}")
        for title, first, second in panels
        if first[1] or second[1]
    ]


def _share(losses: Sequence[tuple[str, float | None, float | None]]) -> dict[str, float]:
    """method -> what is left of its loss, in percent; a loss of 0 or below has no share."""
    left = [(m, HUNDRED * a / b if a is not None and b is not None and b > 0 else None) for m, b, a in losses]
    return _means(left)


def _means(values: Sequence[tuple[str, float | None]]) -> dict[str, float]:
    """method -> the mean over its seeds."""
    by_method: dict[str, list[float]] = {}
    for method, value in values:
        if value is not None:
            by_method.setdefault(method, []).append(value)
    return {m: fsum(own) / len(own) for m, own in by_method.items()}


def _dumbbell(
    first: tuple[str, dict[str, float]], second: tuple[str, dict[str, float]], methods: Sequence[str]
) -> Markup:
    """Two values of each method, joined: the first hollow, the second filled."""
    order = [m for m in methods if m in first[1] or m in second[1]]
    both = [m for m in order if m in first[1] and m in second[1]]
    joined = [{"method": m, "low": first[1][m], "high": second[1][m]} for m in both]
    y = vega.names("method", order)
    rule = {"type": "rule", "strokeWidth": 2, "color": vega.FAINT, "opacity": 0.6, "aria": False}
    layers = [vega.data(joined) | vega.layer(rule, y=y, x=vega.quantity("low"), x2={"field": "high"})]
    for (name, values), fill in ((first, vega.PAPER), (second, vega.ACCENT)):
        shown = [(m, values[m]) for m in order if m in values]
        dots = vega.data({"method": m, "value": v, "label": f"{m}, {name}: {v:.2f}"} for m, v in shown)
        point = vega.POINT | {"fill": fill, "stroke": vega.ACCENT}
        layers.append(dots | vega.layer(point, y=y, x=vega.quantity("value"), description=vega.LABEL))
    return vega.svg({"height": {"step": ROW}, "layer": layers})


def curves(
    measured: Iterable[Record], methods: Sequence[str], benchmarks: Benchmarks = DEFAULT
) -> list[Figure]:
    """The mean reward of each method's checkpoints over its optimizer steps, all on one scale."""
    metrics = {b.name: b.checkpoint_metric for b in benchmarks if b.checkpoint_metric}
    values: dict[str, dict[str, dict[int, list[float]]]] = {name: {} for name in metrics}
    for r in measured:
        if r.metric == metrics.get(r.benchmark) and r.value is not None:
            values[r.benchmark].setdefault(r.method, {}).setdefault(int(r.group), []).append(r.value)
    figures = []
    for name, by_method in values.items():
        means = {
            m: {step: fsum(sorted(v)) / len(v) for step, v in sorted(by_step.items())}
            for m, by_step in by_method.items()
        }
        rewards = [v for by_step in means.values() for v in by_step.values()]
        where = f", {benchmarks.get(name).title}" if sum(map(bool, values.values())) > 1 else ""
        figures += [Figure(m + where, _curve(m, means[m], rewards)) for m in methods if m in means]
    return figures


def _curve(method: str, rewards: Mapping[int, float], rewards_of_all: Sequence[float]) -> Markup:
    """One method's rewards by optimizer step, on the scale of every method's."""
    values = [{"step": s, "reward": v, "label": f"{method}, step {s:,}: {v:.2f}"} for s, v in rewards.items()]
    line = {"type": "line", "color": vega.ACCENT, "strokeWidth": 2, "point": {"size": 40, "filled": True}}
    few = {"tickCount": 4}
    x = vega.quantity("step", "optimizer step", axis=few)
    y = vega.quantity("reward", scale={"domain": domain(rewards_of_all), "nice": False}, axis=few)
    return vega.svg(vega.data(values) | {"height": 110} | vega.layer(line, x=x, y=y, description=vega.LABEL))


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
