"""Many hypotheses at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xharness.statistics.ratio import Floats


def holm(p: Floats) -> Floats:
    """(H,) adjusted p-values: rejecting those up to alpha errs once or more with probability alpha
    at most, however the tests depend on each other (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def benjamini_hochberg(p: Floats) -> Floats:
    """(H,) adjusted p-values: rejecting those up to q gives a share of false ones of q at most, on
    average (Benjamini and Hochberg 1995, independent or positively dependent tests)."""
    order = np.argsort(p, kind="stable")[::-1]
    factors = len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(factors * p[order]))
    return adjusted


def at_least(p: Floats, alpha: float) -> int:
    """The number of hypotheses that are false with confidence 1 - alpha, without saying which.

    Source: partial conjunction with Bonferroni's combination, for dependent tests (Dror et al.
    2017, TACL 5:471-486)."""
    ordered = np.sort(p)
    conjunction: npt.NDArray[np.float64] = np.arange(len(p), 0, -1) * ordered
    return int((np.maximum.accumulate(conjunction) <= alpha).sum())
