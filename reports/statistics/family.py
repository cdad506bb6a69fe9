"""Many tests at once: p-values that err in 5 of 100 families, not in 5 of 100 tests."""

from collections.abc import Iterable, Sequence

import numpy as np

from reports.statistics.bootstrap import Floats


def holm(ps: Iterable[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: the k-th smallest of m, times m - k + 1."""
    raw = np.array(list(ps), float)
    order = np.argsort(raw, kind="stable")
    raised = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    out = np.empty_like(raw)
    out[order] = np.minimum(raised, 1.0)
    return [float(p) for p in out]


def min_p(ps: Sequence[float], drawn: Floats) -> list[float]:
    """Step-down minP (Westfall & Young, 1993), in the order given.

    `drawn` [B, len(ps)] are the p-values of the same tests where chance alone is at work. The k-th smallest p
    is compared with the smallest that is drawn of it and all larger ones: that tests depend on each other
    counts, which Holm has to leave out. No p is less than 1 / (B + 1).
    """
    raw = np.array(ps, float)
    order = np.argsort(raw, kind="stable")
    least = np.minimum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]  # [B, of the k-th and all larger]
    found = ((least <= raw[order]).sum(0) + 1) / (len(drawn) + 1)
    out = np.empty_like(raw)
    out[order] = np.maximum(np.maximum.accumulate(found), raw[order])
    return [float(p) for p in out]
