"""Tests of retrained models: each seed gives one score, and seeds move scores by themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xharness.statistics.ratio import Floats

PRIOR_DEGREES = 4  # how many degrees of freedom the family's variance counts for


class SeedTest(NamedTuple):
    """Each (H,): the change in points, its standard error and degrees of freedom."""

    change: Floats
    error: Floats
    degrees: Floats

    def drop_p(self) -> Floats:
        """(H,) one-sided p-values of "no drop"."""
        return _p(self.change, self.error, self.degrees)

    def gain_p(self) -> Floats:
        return _p(-self.change, self.error, self.degrees)

    def bounds(self, level: float) -> tuple[Floats, Floats]:
        """The (H,) two-sided intervals of the change."""
        reach = _quantile(0.5 + level / 2, self.degrees) * self.error
        return self.change - reach, self.change + reach


def within_variance(old: Floats, new: Floats) -> Floats:
    """(H,) variance over seeds, pooled over both sides: (K0, H) and (K1, H) scores, three or
    more seeds in all."""
    squares = sum(np.square(side - side.mean(axis=0)).sum(axis=0) for side in (old, new))
    return np.asarray(squares / (len(old) + len(new) - 2))


def moderated_t(old: Floats, new: Floats, prior: Floats) -> SeedTest:
    """Change of the mean over seeds, (K0, H) against (K1, H) scores.

    prior  (H,) the variance that each hypothesis shares with its family; the own one is shrunk
           toward it, since a few seeds say little about it. NaN where it has no family: then
           the own variance stands alone.

    Source: the moderated t of Smyth 2004, with 4 prior degrees of freedom instead of estimated
    ones.
    """
    k_old, k_new = len(old), len(new)
    own, freedom = within_variance(old, new), k_old + k_new - 2
    weight = np.where(np.isnan(prior), 0.0, PRIOR_DEGREES)
    degrees = freedom + weight
    variance = (weight * np.nan_to_num(prior) + freedom * own) / degrees
    change = new.mean(axis=0) - old.mean(axis=0)
    error = np.sqrt(variance * (1 / k_old + 1 / k_new))
    return SeedTest(change, error, degrees)


def other_seeds_and_items(old: Floats, new: Floats, items: Floats, noise: Floats) -> SeedTest:
    """Change of the mean over seeds, (K0, H) against (K1, H) scores, as it would be with other
    seeds and on other items; three or more seeds in all.

    items  (H,) the variance of the change over items, that of `noise` included.
    noise  (H,) the variance that a seed's score has because single items come out otherwise. What
           a hypothesis' seeds do beyond it is shrunk toward the mean of the hypotheses.

    The variances add up; degrees of freedom after Satterthwaite. With many seeds the error is that
    of a bootstrap of seeds and items; with few, the bootstrap's is too small.
    """
    beyond = within_variance(old, new) - noise
    alone = len(noise) == 1
    prior = np.full(1, np.nan) if alone else noise + max(0.0, float(beyond.mean()))
    test = moderated_t(old, new, prior)
    scale = 1 / len(old) + 1 / len(new)
    seeds = np.maximum(0.0, np.square(test.error) - noise * scale)
    variance = items + seeds
    squares = np.where(seeds > 0, np.square(seeds) / test.degrees, 0.0)
    degrees = np.divide(
        np.square(variance), squares, out=np.full_like(items, np.inf), where=squares > 0
    )
    return SeedTest(test.change, np.sqrt(variance), degrees)


def known_deviation(old: Floats, new: Floats, deviation: Floats) -> SeedTest:
    """As `moderated_t`, with a declared (H,) standard deviation over seeds."""
    change = new.mean(axis=0) - old.mean(axis=0)
    error = deviation * np.sqrt(1 / len(old) + 1 / len(new))
    return SeedTest(change, error, np.full(len(change), np.inf))


def _quantile(share: float, degrees: Floats) -> Floats:
    from scipy.special import ndtri, stdtrit

    finite = np.where(np.isinf(degrees), 1.0, degrees)
    return np.asarray(np.where(np.isinf(degrees), ndtri(share), stdtrit(finite, share)), np.float64)


def _p(change: Floats, error: Floats, degrees: Floats) -> Floats:
    from scipy.special import ndtr, stdtr

    # Seeds that agree to the last digit (nothing is trained) leave no doubt about a change.
    sign = np.where(change < 0, -np.inf, np.where(change > 0, np.inf, 0.0))
    t = np.divide(change, error, out=sign, where=error > 0)
    finite = np.where(np.isinf(degrees), 1.0, degrees)
    return np.asarray(np.where(np.isinf(degrees), ndtr(t), stdtr(finite, t)), np.float64)
