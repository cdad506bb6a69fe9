"""Records of runs that never were, with trainings that differ as much as is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from reports import build
from reports.records.rows import Cost, Record
from reports.records.run_folder import Rows

BASES = ("Teacher", "Student")
OF = ("run", "run")


def scores(
    means: Mapping[str, float],
    seeds: int = 3,
    worlds: int = 1,
    training: float = 0.02,
    n: int = 60,
    rng: int = 0,
    **fields: object,
) -> list[Record]:
    """Ratings around `means`, of which trainings differ by `training`; base models are one in all seeds."""
    draw = np.random.default_rng(rng)
    shared = draw.normal(0, 1, n)
    found = []
    for m, mean in means.items():
        for w in range(worlds):
            of_world = draw.normal(0, training)
            for s in range(seeds):
                is_base = m in BASES
                moved = of_world if is_base else draw.normal(0, training)
                noise = (np.random.default_rng([rng, w]) if is_base else draw).normal(0, 0.3, n)
                run = {"seed": s, "world_seed": w, "artifacts": (f"{m}-{w}-{0 if is_base else s}",)}
                found += [
                    replace(record(m), question=str(q), value=float(v), **run)
                    for q, v in enumerate(mean + moved + noise + shared)
                ]
    return [replace(r, **fields) for r in found]


def record(method: str) -> Record:
    return Record(*OF, "data", method, 0, "mt-bench", "score", "", "0", 1, "", "", "", 0.0)


def failed(method: str, why: str, **fields: object) -> Record:
    """What says why a row was not judged."""
    return replace(record(method), question="", value=None, status=f"not run: {why}", **fields)


def paid(methods: Iterable[str], dataset: str = "data") -> list[Cost]:
    """Each method took 1e9 FLOPs more than the one before it."""
    return [
        Cost(*OF, dataset, m, 0, 1.0, 1e9 * k, 0.0, 1, 0.0, 0, 0, "cpu") for k, m in enumerate(methods, 1)
    ]


def told(records: Sequence[Record], trained: Iterable[str] | None = None) -> list[str]:
    """The verdict's paragraphs; all that is no base model was trained here."""
    names = dict.fromkeys(r.method for r in records if r.method not in BASES) if trained is None else trained
    return build.verdict(Rows(records=records, costs=paid(names)))
