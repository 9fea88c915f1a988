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


def known_deviation(old: Floats, new: Floats, deviation: Floats) -> SeedTest:
    """As `moderated_t`, with a declared (H,) standard deviation over seeds."""
    change = new.mean(axis=0) - old.mean(axis=0)
    error = deviation * np.sqrt(1 / len(old) + 1 / len(new))
    return SeedTest(change, error, np.full(len(change), np.inf))


def _p(change: Floats, error: Floats, degrees: Floats) -> Floats:
    from scipy.special import ndtr, stdtr

    # Seeds that agree to the last digit (nothing is trained) leave no doubt about a change.
    sign = np.where(change < 0, -np.inf, np.where(change > 0, np.inf, 0.0))
    t = np.divide(change, error, out=sign, where=error > 0)
    finite = np.where(np.isinf(degrees), 1.0, degrees)
    return np.asarray(np.where(np.isinf(degrees), ndtr(t), stdtr(finite, t)), np.float64)
