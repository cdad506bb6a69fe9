"""AlpacaEval 2's length-controlled win rate (Dubois et al., 2024): the win rate if lengths were equal.

    logit P(ours wins item i) = w_len tanh(dlen_i / std dlen) + w_diff difficulty_i + w_0
    LC = the mean of P over the items with w_len = 0

The fit is alpaca_eval's own code: L1, its strength by 5-fold cross-validation, and 2 x 805 verdicts on
"gamed" answers of the baseline (df_gamed.csv) that pull the fit, with weight 0.1 each. It departs in one
place: an item's difficulty is looked up by its place among the 805 instructions; upstream takes its row in
the annotations, so one missing answer gives every later item the difficulty of another. Where all 805 are
there, the two are the same.

Upstream's standard error is the spread of the predictions and knows nothing of the fit: it is 2 to 6 times
too small. Ours refits on resampled instructions, one that is drawn twice with weight 2, the gamed rows as
they are. The strength of the L1 term stays as chosen on the full set: choosing it anew costs 40 times as
much and changes the error by less than 1 % of itself.
"""

import csv
import hashlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.file_bytes import text_of

INSTRUCTIONS = 805
DIGEST = "c5770d532bf3f697768ed9a57a05d8b58b2617321ca65070620f059676e7c99a"
GAMED = "df_gamed.csv"  # the file of the Hugging Face data set tatsu-lab/alpaca_eval
STAND_IN = "df_gamed_reconstructed.csv"  # same difficulties and lengths; preferences that give the same fit
L1: dict[str, Any] = {  # as in alpaca_eval's fit_LogisticRegressionCV
    "penalty": "l1",
    "solver": "liblinear",
    "fit_intercept": False,
    "random_state": 123,
}
COLUMNS = ("model", "index", "preference", "std_delta_len", "instruction_difficulty", "not_gamed_baseline")

Numbers = NDArray[np.float64]


class Gamed(NamedTuple):
    """The verdicts on gamed answers; `stand_in`: reconstructed ones, near but not the published file."""

    path: Path
    stand_in: bool


@dataclass(frozen=True)
class Item:
    """A verdict. index: place among the 805 instructions; preference: 0-1, 1 ours; lengths in characters."""

    index: int
    preference: float
    length: float
    reference_length: float


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate, 0-1.

    `standard_error` is upstream's; `bootstrap_error` and the 95 % interval `low`-`high` are ours.
    """

    value: float
    standard_error: float
    bootstrap_error: float
    low: float
    high: float
    stand_in: bool


@dataclass(frozen=True)
class _Design:
    """What is fitted: rows of gamed answers, then the n items. Frames are of pandas."""

    train: Any  # features and preference, one row each
    weight: Numbers  # [rows]
    test: Any  # the n items' features, were their lengths equal
    difference: Numbers  # [n], ours longer by so many characters is negative, as upstream


def find_gamed(folder: Path) -> Gamed | None:
    """The folder's df_gamed.csv, else a reconstructed one, else None. ValueError if it is another table."""
    for name in (GAMED, STAND_IN):
        if (folder / name).is_file():
            _check_gamed(folder / name)
            return Gamed(folder / name, name == STAND_IN)
    return None


def places(instructions: Sequence[str]) -> dict[str, int] | None:
    """Instruction -> its place among the 805, if `instructions` are these in their published order."""
    digest = hashlib.sha256(json.dumps(list(instructions)).encode()).hexdigest()
    return {text: n for n, text in enumerate(instructions)} if digest == DIGEST else None


def lc_win_rate(
    items: Sequence[Item], gamed: Gamed, *, resamples: int = 1000, seed: int = 0
) -> LengthControlled:
    """alpaca_eval's `length_controlled_v1` on items of the 805, all or a part of them, in any order.

    ValueError where it is not defined: other or repeated places, fewer than 5 items, all length differences
    the same (unless all are ties of equal length: 0.5, as upstream's for the baseline itself).
    """
    _check(items)
    if strange := [i.index for i in items if not 0 <= i.index < INSTRUCTIONS]:
        raise ValueError(f"LC is defined on AlpacaEval's 805 instructions, 0-804; item {strange[0]} is none")
    if (n := len({i.index for i in items})) < len(items):
        raise ValueError(f"an instruction has one item, but {len(items)} items are on {n} instructions")
    _check_gamed(gamed.path)
    return _estimate(items, gamed, resamples, seed)


def _estimate(items: Sequence[Item], gamed: Gamed, resamples: int, seed: int) -> LengthControlled:
    if _equal(items):
        return LengthControlled(0.5, 0.0, 0.0, 0.5, 0.5, gamed.stand_in)
    # In the order of the instructions, as upstream's annotations: the folds go by it.
    items = sorted(items, key=lambda i: i.index)
    with _upstream(gamed.path) as glm:
        info = glm.GLM_INFO["length_controlled_v1"]
        design = _design(glm, items, info)
        model = glm.fit_LogisticRegressionCV(
            design.train, "preference", sample_weight=design.weight, **info["kwargs"]
        )
        predicted = model.predict_proba(design.test)[:, 1]
        draws = _bootstrap(glm, design, float(model.C_[0]), resamples, np.random.default_rng(seed))
    low, high = np.quantile(draws, [0.025, 0.975])
    return LengthControlled(
        value=float(predicted.mean()),
        standard_error=float(predicted.std(ddof=1) / np.sqrt(len(predicted))),
        bootstrap_error=float(draws.std(ddof=1)),
        low=float(low),
        high=float(high),
        stand_in=gamed.stand_in,
    )


def _design(glm: Any, items: Sequence[Item], info: dict[str, Any]) -> _Design:
    """Upstream's features; its code counts characters of outputs and takes the frame's index as places."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "preference": [1 + i.preference for i in items],
            "output_1": ["x" * int(i.reference_length) for i in items],
            "output_2": ["x" * int(i.length) for i in items],
        },
        index=pd.Index([i.index for i in items]),
    )
    train, test, weight = glm._get_featurized_data(
        frame, info["formula"], info["regularize_to_baseline_lambda"]
    )
    judged = train["preference"].notna()
    difference = np.array([i.reference_length - i.length for i in items], dtype=float)
    return _Design(train[judged], weight[judged].to_numpy(), test, difference)


def _bootstrap(glm: Any, design: _Design, C: float, resamples: int, rng: np.random.Generator) -> Numbers:
    """The win rate of each resample, refitted with the strength C. [resamples]"""
    n, test = len(design.difference), design.test.to_numpy()
    features = design.train.drop(columns="preference").to_numpy(copy=True)  # length first
    preference, gamed = design.train["preference"].to_numpy(), len(design.train) - n
    refit = glm.LogisticRegression(C=C, **L1)
    draws = np.empty(resamples)
    for row, count in enumerate(rng.multinomial(n, np.full(n, 1 / n), size=resamples)):
        spread = np.repeat(design.difference, count).std(ddof=1)
        features[gamed:, 0] = np.tanh(design.difference / spread) if spread > 0 else 0.0
        weight = np.concatenate([design.weight[:gamed], design.weight[gamed:] * count])
        x, p, w = features[weight > 0], preference[weight > 0], weight[weight > 0]
        # A verdict of p is p of a win and 1 - p of a loss, as in upstream's fit.
        won = np.repeat([1, 0], len(x))
        refit.fit(np.concatenate([x, x]), won, sample_weight=np.concatenate([p * w, (1 - p) * w]))
        draws[row] = np.average(refit.predict_proba(test)[:, 1], weights=count)
    return draws


def _check(items: Sequence[Item]) -> None:
    if len(items) < 5:
        raise ValueError(
            f"a length-controlled win rate wants 5 items or more (it has 5 folds), not {len(items)}"
        )
    if strange := [i.preference for i in items if not 0 <= i.preference <= 1]:
        raise ValueError(f"a preference is 0-1, 1 where ours is better, not {strange[0]}")
    if not _equal(items) and len({i.length - i.reference_length for i in items}) == 1:
        raise ValueError(
            f"all {len(items)} items have the same difference of lengths: no length effect to fit"
        )


def _equal(items: Sequence[Item]) -> bool:
    """Whether ours is the reference, for all that shows: upstream's is then one half by construction."""
    return all(i.preference == 0.5 and i.length == i.reference_length for i in items)


def _check_gamed(path: Path) -> None:
    rows = csv.DictReader(io.StringIO(text_of(path), newline=""))
    try:
        if missing := [c for c in COLUMNS if c not in (rows.fieldnames or ())]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        first = [float(row["index"]) for row in rows][:INSTRUCTIONS]
    except (ValueError, TypeError, csv.Error) as fault:
        raise ValueError(f"{path} is no df_gamed.csv: {fault} (line {rows.line_num})") from fault
    # Upstream looks a difficulty up by the row of its first mention.
    if first != list(range(INSTRUCTIONS)):
        raise ValueError(f"{path}: its first 805 rows are not instructions 0-804 in order")


@contextmanager
def _upstream(gamed: Path) -> Iterator[Any]:
    """alpaca_eval's GLM, reading `gamed` in place of a download; what it changes at large is put back."""
    with _importable():
        try:
            from alpaca_eval.metrics import glm_winrate as glm
        except ModuleNotFoundError as error:
            raise ValueError(f"LC win rates need alpaca-eval: pip install alpaca-eval ({error})") from error
    download = glm.hf_hub_download
    glm.hf_hub_download = lambda **_: str(gamed)
    try:
        # The fit turns sklearn's metadata routing on for the whole process.
        with glm.sklearn.config_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sklearn's coming removals, three a fit
            yield glm
    finally:
        glm.hf_hub_download = download


@contextmanager
def _importable() -> Iterator[None]:
    """Its import wants two functions of pkg_resources, gone from setuptools 82, and sets the root logger's
    level.
    """
    root = logging.getLogger()
    level, shim = root.level, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_module("pkg_resources")
        except ModuleNotFoundError:
            shim = _pkg_resources()
            sys.modules["pkg_resources"] = shim
        try:
            yield
        finally:
            root.setLevel(level)
            if shim is not None:
                del sys.modules["pkg_resources"]


def _pkg_resources() -> ModuleType:
    from packaging.version import parse

    shim: Any = ModuleType("pkg_resources")
    shim.parse_version = parse
    shim.get_distribution = lambda name: SimpleNamespace(version=version(name), project_name=name)
    return cast(ModuleType, shim)
