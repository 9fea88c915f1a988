"""Confidence intervals of a score over the items that it was measured on.

Source of the choice: coverage of binary, clustered and micro-F1 scores at the sizes of XTREME-R
(tests/statistics/test_interval.py repeats it); Wilson 1927; Clopper and Pearson 1934.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

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
    parts = by_unit(influence(terms), clusters, count)
    return interval_of_sum(terms.ratio(), [parts], unit, level)


def interval_of_sum(
    score: float,
    parts: Sequence[Floats],
    unit: str,
    level: float = LEVEL,
    bounds: tuple[float, float] = (0.0, TOP),
    seeds: Floats | None = None,
) -> Interval | str:
    """The interval of a weighted sum of scores, or why there is none.

    parts   for each task, whose items are independent of the others', the (U,) weighted influences
            summed over its units.
    bounds  that the score can't leave.
    seeds   (K,) the score of each training where `score` is their mean: their spread counts as
            that of one more independent sample.

    t, for several samples with the degrees of freedom of Welch and Satterthwaite.
    """
    from scipy.special import stdtrit

    count = sum(map(len, parts))
    variances = [standard_error(part) ** 2 if len(part) > 1 else inf for part in parts]
    total = sum(variances)
    if count < FEW or not total < inf:
        return f"{count} {unit}s are too few (below {FEW})"
    if sqrt(total) < 1e-12:
        return f"all {unit}s score the same"
    degrees = [len(part) - 1 for part in parts]
    freedom = total**2 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
    if freedom < FEW - 1.5:
        return f"too few {unit}s (like {freedom + 1:.0f}, below {FEW}) make most of the difference"
    if seeds is not None and len(seeds) > 1:
        spread = float(seeds.var(ddof=1)) / len(seeds)
        freedom = (total + spread) ** 2 / (total**2 / freedom + spread**2 / (len(seeds) - 1))
        total += spread
    reach = float(stdtrit(freedom, 0.5 + level / 2)) * sqrt(total)
    lower, upper = max(bounds[0], score - reach), min(bounds[1], score + reach)
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
