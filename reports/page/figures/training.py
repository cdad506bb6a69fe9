"""What training changed, before and after, and rewards of the checkpoints on the way."""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum

from markupsafe import Markup

from reports.page.figures import vega
from reports.page.figures.figure import HUNDRED, ROW, Figure, domain
from reports.records.benchmarks import DEFAULT, Benchmarks
from reports.records.rows import Record, Training


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
