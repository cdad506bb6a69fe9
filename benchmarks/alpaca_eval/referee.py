"""alpaca_eval on an export of AlpacaEval: `get_winrate`, its length-controlled code where ours ran, and its
own reading of the replies where an item was asked once.

    python -I referee.py exports/alpaca-eval-2 OUT

Imports nothing of ours (benchmarks/referee.py) but what a thought is. What an installed alpaca-eval 0.6.6
may lack is put in its place: two functions of pkg_resources, which newer setuptools have not, and a file for
the one that the length-controlled code downloads at each call.
"""

import ast
import hashlib
import io
import json
import logging
import re
import runpy
import sys
import warnings
from contextlib import redirect_stdout
from importlib import metadata
from itertools import combinations
from math import nan
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

OURS = {  # alpaca_eval's number -> our metric and what one of theirs is in our unit
    "win_rate": ("win_rate", 0.01),
    "standard_error": ("standard_error", 0.01),
    "discrete_win_rate": ("discrete_win_rate", 0.01),
    "n_total": ("n", 1),
    "length_controlled_winrate": ("lc_win_rate", 0.01),
    "lc_standard_error": ("lc_standard_error", 0.01),
}
CONTROLLED = ("length_controlled_winrate", "lc_standard_error")
DIFFICULTY, JUDGED = "difficulty", "judged items"  # the reasons, as the declaration words them
CHARACTERS, ANSWERED = "whole characters", "answers there"
RANK, THOUGHT, SPELLING = "same rank", "thoughts", "spelling"
TIE = 1.5
NAME = re.compile("([ Ġ▁]?)([mM])")
# What is a thought is what we take for one, in a file that imports nothing else of ours.
without_thoughts = runpy.run_path(str(Path(__file__).parents[1] / "thoughts.py"))["without_thoughts"]


def main(folder: Path, out: Path) -> None:
    """Every row of an export: <judge>/<reference>/<row>/annotations.json."""
    make_importable()
    numbers: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for path in sorted(folder.glob("*/*/*/annotations.json")):
        judge, reference, row = path.parent.relative_to(folder).parts
        where = {"row": row, "judge": judge, "reference": reference}
        numbers += [where | found for found in plain(path)]
        controls = path.parents[1] / "length_controlled.json"
        if controls.is_file():
            told = json.loads(controls.read_text())
            if row in told["rows"]:
                numbers += [where | found for found in length_controlled(path, told)]
                notes[note(controls.parent / told["gamed"])] = None
    tool = f"alpaca_eval {metadata.version('alpaca-eval')}"
    out.write_text(json.dumps({"tool": tool, "notes": list(notes), "numbers": numbers}))


def note(gamed: Path) -> str:
    """Which file the length-controlled code was given."""
    digest = hashlib.sha256(gamed.read_bytes()).hexdigest()[:12]
    what = "" if gamed.name == "df_gamed.csv" else ", a stand-in for df_gamed.csv"
    return f"the length-controlled code was given {gamed.name} (sha256 {digest}...){what}"


def plain(path: Path) -> list[dict[str, Any]]:
    """What needs no fit."""
    from alpaca_eval.metrics import get_winrate

    frame = annotations(path)
    # Without any preference it rounds a None.
    found = get_winrate(frame) if frame["preference"].notna().any() else {"n_total": 0}
    numbers = [number(name, value) for name, value in found.items() if name in OURS]
    again = read_again(frame) if "raw_completion" in frame else []
    return [*numbers, *again, mean_length(outputs(path)["output"].str.len(), answered(frame))]


def answered(frame: Any) -> Any:
    """Whether both sides have an answer: a status says why there was nothing to judge."""
    return frame["status"].isna() if "status" in frame else frame["output_2"].notna()


def mean_length(lengths: Any, there: Any) -> dict[str, Any]:
    """alpaca_eval's avg_length: it cuts the mean over all outputs to a whole number."""
    ways = [{"reasons": [CHARACTERS], "value": float(lengths.mean())}]
    if there.any() and not there.all():
        ways.append({"reasons": [CHARACTERS, ANSWERED], "value": float(lengths[there].mean())})
    return {"metric": "mean_length", "value": int(lengths.mean()), "by_design": ways}


def read_again(frame: Any) -> list[dict[str, Any]]:
    """The win rate of the replies as alpaca_eval reads them, and as it reads them by our rules."""
    from alpaca_eval.processors import RandomSwitchTwoColumnsProcessor

    shown = RandomSwitchTwoColumnsProcessor(
        two_columns_to_switch=["output_1", "output_2"],
        random_seed_columns=["instruction"],
        _switch_column="is_switched_outputs",
        seed=0,  # as its annotators pass it
    ).preprocess(frame[["instruction", "output_1", "output_2"]])
    columns = ("raw_completion", "output_1", "output_2")
    switched = shown["is_switched_outputs"]
    rows = list(zip(*(frame[name] for name in columns), switched, answered(frame), strict=True))
    value = mean_preference(rows)
    ways = [
        {"reasons": reasons, "value": departed}
        for count in (1, 2, 3, 4)
        for reasons in combinations((RANK, THOUGHT, SPELLING, ANSWERED), count)
        if (departed := mean_preference(rows, *reasons)) is not None
    ]
    return [{"metric": "win_rate", "value": value, "way": "replies read again", "by_design": ways}]


def mean_preference(rows: list[Any], *departures: str) -> float | None:
    """0-1, over the replies that hold a preference."""
    found = []
    for completion, one, other, switched, there in rows:
        tie = TIE if there or ANSWERED not in departures else nan
        first = tie if one == other else preference(completion, *departures)
        found.append(3 - first if switched else first)
    known = [value - 1 for value in found if value == value]
    return sum(known) / len(known) if known else None


def preference(completion: Any, *departures: str) -> float:
    """1-2, of the answer that was shown first, as alpaca_eval's parsers read it, told to do as we do."""
    from alpaca_eval.completion_parsers import logprob_parser, ranking_parser

    if isinstance(completion, dict):
        (first,) = completion["logprobs"]["content"]
        if SPELLING in departures:
            first = first | {"top_logprobs": plainly_spelled(first["top_logprobs"])}
        told = completion | {"logprobs": {"content": [first]}}
        (value,) = logprob_parser(told, "m", ["m", "M"], is_binarize=False)
        return float(value)
    text = completion if isinstance(completion, str) else ""
    if THOUGHT in departures:
        text = without_thoughts(text)
    if RANK in departures and same_rank(text):
        return TIE
    return float(ranking_parser(text)[0]) if text else nan


def plainly_spelled(top: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The names as the likeliest of them is written, with the mark of a word's beginning or without."""
    names = {t["token"]: t["logprob"] for t in top if NAME.fullmatch(t["token"])}
    mark = max(names, key=names.__getitem__, default="")[:-1]
    return [
        {"token": token[-1], "logprob": logprob} for token, logprob in names.items() if token[:-1] == mark
    ]


def same_rank(text: str) -> bool:
    try:
        ranks = {row["model"]: row["rank"] for row in ast.literal_eval(text)}
    except (ValueError, SyntaxError, TypeError, KeyError):
        return False
    return ranks.get("model_1") in (1, 2) and ranks.get("model_1") == ranks.get("model_2")


def length_controlled(path: Path, told: dict[str, Any]) -> list[dict[str, Any]]:
    """The fit as alpaca_eval makes it, and as it makes it on what ours is of."""
    frame, places = annotations(path), told["places"]
    placed = frame.set_axis([places[text] for text in frame["instruction"]]).sort_index()
    judged = frame["preference"].notna()
    ways = {
        (DIFFICULTY,): placed,
        (JUDGED,): frame[judged],
        (DIFFICULTY, JUDGED): placed[placed["preference"].notna()],
    }
    gamed = path.parents[1] / told["gamed"]
    found = fitted(frame, gamed)
    departed = {reasons: fitted(other, gamed) for reasons, other in ways.items()}
    return [
        number(name, found.get(name))
        | {
            "by_design": [
                {"reasons": list(reasons), "value": other[name] * OURS[name][1]}
                for reasons, other in departed.items()
                if name in other
            ]
        }
        for name in CONTROLLED
    ]


def fitted(frame: Any, gamed: Path) -> dict[str, float]:
    """`get_length_controlled_winrate` of annotations whose index is the place of the instruction."""
    from alpaca_eval.metrics import glm_winrate

    glm_winrate.hf_hub_download = lambda **_: str(gamed)
    # Unless told not to, it writes the weights of the fit into its own package.
    try:
        found = glm_winrate.get_length_controlled_winrate(frame.copy(), save_weights_dir=None)
    except (ValueError, KeyError, TypeError):  # fewer items than folds, or more than there are difficulties
        return {}
    return dict(found)


def number(name: str, value: float | None) -> dict[str, Any]:
    metric, unit = OURS[name]
    known = value is not None and value == value  # no NaN: of one item there is no standard error
    return {"metric": metric, "value": float(value) * unit if known and value is not None else None}


def annotations(path: Path) -> Any:
    import pandas as pd

    return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))


def outputs(path: Path) -> Any:
    return annotations(path.with_name("model_outputs.json"))


def make_importable() -> None:
    """A stand-in for pkg_resources where there is none, and silence."""
    warnings.simplefilter("ignore")
    try:
        import pkg_resources  # noqa: F401
    except ModuleNotFoundError:
        from packaging.version import parse

        shim: Any = ModuleType("pkg_resources")
        shim.parse_version = parse
        shim.get_distribution = lambda name: SimpleNamespace(
            version=metadata.version(name), project_name=name
        )
        sys.modules["pkg_resources"] = shim
    import alpaca_eval  # noqa: F401

    logging.disable(logging.CRITICAL)  # it sets the root logger to INFO, and tells of every reply


if __name__ == "__main__":
    with redirect_stdout(io.StringIO()):
        main(Path(sys.argv[1]), Path(sys.argv[2]))
