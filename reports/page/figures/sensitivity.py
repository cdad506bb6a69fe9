"""How much each method depends on its settings: the scores of its trials, over all and over each setting."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from markupsafe import Markup

from reports.page.figures import vega
from reports.page.figures.figure import ROW, Figure, domain
from reports.page.tuning_trials import Trial, Tuning

HEIGHT = 110  # px
POWERS = 10  # times the least value: what is more makes the axis logarithmic


def figures(tuning: Tuning, methods: Sequence[str]) -> list[Figure]:
    """The trials of each method of a run from worst to best, then their scores over each of its settings."""
    own = {m: [t for t in tuning.trials if t.method == m and t.score is not None] for m in methods}
    tried = {m: trials for m, trials in own.items() if trials}
    if not tried:
        return []
    span = domain([t.score for trials in tried.values() for t in trials if t.score is not None])
    over_settings = [
        Figure(f"{m} over {name}", _over(m, name, trials, span))
        for m, trials in tried.items()
        for name in dict.fromkeys(name for t in trials for name in t.settings)
        if len({t.settings.get(name) for t in trials}) > 1
    ]
    note = "filled: the best trial, tick: the median"
    return [Figure(f"Trials of each method, {tuning.score}", _ranges(tried), note), *over_settings]


def notes(tuning: Tuning, methods: Sequence[str]) -> list[str]:
    """What the figures leave out."""
    own = [t for t in tuning.trials if t.method in methods]
    lost, others = sum(t.score is None for t in own), len(tuning.trials) - len(own)
    untried = [m for m in methods if m not in {t.method for t in own}]
    return [
        f"{len(own) - lost:,} of {len(own):,} trials have a score",
        *([f"{others:,} trials are of methods that this run has not"] if others else []),
        *([f"not tuned: {', '.join(untried)}"] if untried else []),
    ]


def ranges(tried: dict[str, list[Trial]]) -> list[dict[str, Any]]:
    """Worst, median and best of each method's trials, the highest best first."""
    rows = []
    for m, trials in tried.items():
        scores = [t.score for t in trials if t.score is not None]
        ends = {"worst": min(scores), "median": median(scores), "best": max(scores)}
        told = ", ".join(f"{name} {value:.4g}" for name, value in ends.items())
        best = next(t for t in trials if t.score == ends["best"])
        label = f"{m}: {told} ({_settings(best)}) of {len(scores)} trials"
        rows.append({"method": m, **ends, "label": label})
    return sorted(rows, key=lambda row: -row["best"])


def _ranges(tried: dict[str, list[Trial]]) -> Markup:
    rows = ranges(tried)
    y, said = vega.names("method", [row["method"] for row in rows]), vega.LABEL
    tick = {"type": "tick", "thickness": 2, "height": 9, "color": vega.ACCENT}
    layers = [
        vega.layer(
            vega.WHISKER | {"color": vega.ACCENT},
            y=y,
            x=vega.quantity("worst"),
            x2={"field": "best"},
            description=said,
        ),
        vega.layer(tick, y=y, x=vega.quantity("median"), description=said),
        vega.layer(vega.POINT | {"color": vega.ACCENT}, y=y, x=vega.quantity("best"), description=said),
    ]
    return vega.svg(vega.data(rows) | {"height": {"step": ROW}, "layer": layers})


def over(method: str, name: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """A point for each trial, by the value of a setting; `top`: no other trial of that value is above."""
    rows: list[dict[str, Any]] = []
    for t in (t for t in trials if name in t.settings):
        value, label = _number(t.settings[name]), f"{method}: {t.score:.4g} at {_settings(t)}"
        at: float | str = t.settings[name] if value is None else value
        rows.append({"method": method, "at": at, "score": t.score, "chosen": t.chosen, "label": label})
    best = {row["at"]: max(r["score"] for r in rows if r["at"] == row["at"]) for row in rows}
    return [row | {"top": row["score"] == best[row["at"]]} for row in rows]


def _over(method: str, name: str, trials: Sequence[Trial], span: Sequence[float]) -> Markup:
    rows = over(method, name, trials)
    values = sorted({row["at"] for row in rows}, key=lambda at: (isinstance(at, str), at))
    axis: vega.Spec = {"title": name, "labelAngle": 0}
    x: vega.Spec = {"field": "at", "type": "ordinal", "sort": values, "axis": axis}
    if all(isinstance(at, float) for at in values):
        scale = {"type": "log" if 0 < values[0] <= values[-1] / POWERS else "linear", "padding": 8}
        axis = {"values": values, "format": "~g", "labelOverlap": True}
        x = vega.quantity("at", name, scale=scale | {"nice": False}, axis=axis)
    y = vega.quantity("score", scale={"domain": span, "nice": False}, axis={"tickCount": 4})
    line = {"type": "line", "color": vega.FAINT, "strokeWidth": 1.5, "aria": False}
    hollow = vega.POINT | {"size": 40, "stroke": vega.ACCENT, "strokeWidth": 1.5}
    fill = {"condition": {"test": "datum.chosen", "value": vega.ACCENT}, "value": vega.PAPER}
    layers = [
        vega.data(_tops(rows)) | vega.layer(line, x=x, y=y),
        vega.layer(hollow, x=x, y=y, fill=fill, description=vega.LABEL),
    ]
    return vega.svg(vega.data(rows) | {"height": HEIGHT, "layer": layers})


def _tops(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The highest score at each value, once."""
    return list({row["at"]: {"at": row["at"], "score": row["score"]} for row in rows if row["top"]}.values())


def _settings(trial: Trial) -> str:
    return ", ".join(f"{name} {value}" for name, value in trial.settings.items())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
