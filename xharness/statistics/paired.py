"""Paired tests: is what changed on the same items more than chance?

Under the null hypothesis old and new outcome of a unit are exchangeable, so each unit's part in
the change is as likely with the other sign. All that is needed are those parts (U,), which add up
to the change; parts of several cells that share a unit are added before, so that the unit flips
as one in all of them.
"""

from __future__ import annotations

from math import gcd, sqrt

import numpy as np

from xharness.statistics.ratio import Floats, Ints

# Steps that parts of unequal size are rounded to: any statistic keeps the test exact.
STEPS = 256
MOST_EXACT = 100  # changed units up to which the distribution is computed, not approximated


def drop_p(parts: Floats, floor: float = 0.0) -> float:
    """One-sided p-value of "the score dropped by no more than `floor`" (points, at least 0).

    The larger of two: the sign-flip test of no change at all, and, with a floor, the normal test
    that the drop is no larger. 1 when nothing changed. With `-parts` it tests for a gain.
    """
    changed = parts[np.abs(parts) > 1e-12 * max(1e-300, float(np.abs(parts).max(initial=0)))]
    if not len(changed):
        return 1.0
    p = _sign_flip(changed)
    if floor:
        from scipy.special import ndtr

        p = max(p, float(ndtr((changed.sum() + floor) / change_error(changed))))
    return p


def change_error(parts: Floats) -> float:
    """Standard error of the change: the root of the sum of squares, which flips don't alter and
    which exceeds the centred one by the square of the change over U."""
    return sqrt(float(np.square(parts).sum()))


def _sign_flip(changed: Floats) -> float:
    """P(sum of randomly signed parts <= the observed sum).

    Parts of one size: binomial, which is McNemar's exact test. Up to 100 parts: the whole
    distribution on a lattice. More: its normal limit."""
    from scipy.special import bdtr, ndtr

    sizes = np.abs(changed)
    gains = changed > 0
    if np.allclose(sizes, sizes[0], rtol=1e-9):
        return float(bdtr(int(gains.sum()), len(changed), 0.5))
    if len(changed) > MOST_EXACT:
        return float(ndtr(changed.sum() / change_error(changed)))
    steps = np.rint(sizes * (STEPS / sizes.max())).astype(np.int64)
    common = gcd(*steps.tolist())
    return _lattice(steps // common, gains)


def _lattice(steps: Ints, gains: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """P(sum of the steps that came out positive <= those that did), each with chance 1/2."""
    chances = np.zeros(int(steps.sum()) + 1)
    chances[0] = 1.0
    reached = 0
    for step in steps.tolist():
        halved = chances[: reached + 1] / 2
        chances[: reached + 1] = halved
        chances[step : step + reached + 1] += halved
        reached += step
    return min(1.0, float(chances[: int(steps[gains].sum()) + 1].sum()))
