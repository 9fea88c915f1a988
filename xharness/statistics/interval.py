"""Confidence intervals of a score over the items that it was measured on.

Source of the choice: coverage of binary, clustered and micro-F1 scores at the sizes of XTREME-R
(tests/statistics/test_interval.py repeats it); Wilson 1927; Clopper and Pearson 1934.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from xharness.records import Interval
from xharness.statistics.ratio import Floats, Ints, Terms, by_unit, influence

LEVEL = 0.95
FEW = 30  # units below which a normal or t limit is not relied on
TOP = 100.0  # scores are percent


def interval(terms: Terms, clusters: Ints, level: float = LEVEL) -> Interval | str:
    """The interval of a score in percent, or why there is none.

    clusters  (N,) the number of each item's cluster, 0 to the number of clusters - 1.

    Right-or-wrong scores of unclustered items: Wilson, below 30 items Clopper-Pearson. All
    others: t on the linearised ratio over clusters, which for means of unclustered items is the
    plain t interval. Clipped to 0..100.
    """
    count = int(clusters.max()) + 1
    single = count == len(clusters)
    if single and is_binary(terms):
        hits = round(float(terms.numerator.sum()) / TOP)
        exact = count < FEW
        lower, upper = (clopper_pearson if exact else wilson)(hits, count, level)
        method = "clopper-pearson" if exact else "wilson"
        return Interval(method, "item", count, level, TOP * lower, TOP * upper)
    unit = "item" if single else "cluster"
    if count < FEW:
        return f"{count} {unit}s are too few (below {FEW})"
    parts = by_unit(influence(terms), clusters, count)
    error = standard_error(parts)
    if error < 1e-12:
        return f"all {unit}s score the same"
    from scipy.special import stdtrit

    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * error
    score = terms.ratio()
    lower, upper = max(0.0, score - reach), min(TOP, score + reach)
    return Interval("t", unit, count, level, lower, upper)


def is_binary(terms: Terms) -> bool:
    """Whether every item counts once and is wholly right or wholly wrong."""
    right = (terms.numerator == 0) | (terms.numerator == TOP)
    return bool(right.all() and (terms.denominator == 1).all())


def standard_error(parts: Floats) -> float:
    """Of a score, from the (U,) influences summed over each of the independent units."""
    count = len(parts)
    return sqrt(count / (count - 1) * float(np.square(parts - parts.mean()).sum()))


def wilson(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share in 0..1: where the score test of `hits` in `count` does not reject."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    share, weight = hits / count, z * z / count
    middle = share + weight / 2
    reach = z * sqrt(share * (1 - share) / count + weight / (4 * count))
    lower = 0.0 if hits == 0 else (middle - reach) / (1 + weight)
    upper = 1.0 if hits == count else (middle + reach) / (1 + weight)
    return lower, upper


def clopper_pearson(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share in 0..1 that cover it at least as often as they say, at any size."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    lower = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    upper = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return lower, upper
