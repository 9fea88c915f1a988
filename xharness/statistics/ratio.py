"""Scores as ratios of sums over items, and what single items do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xharness.records import Ratio

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Terms(NamedTuple):
    """Each item's share of the two sums, both (N,) float64; the score is their ratio."""

    numerator: Floats
    denominator: Floats

    def ratio(self) -> float:
        """The score; 0 where there is nothing to divide by, as for the F1 of nothing."""
        below = float(self.denominator.sum())
        return float(self.numerator.sum()) / below if below else 0.0


def terms_of(ratio: Ratio, arrays: Mapping[str, npt.NDArray[Any]], count: int) -> Terms:
    """The terms of a score from `count` rows of per-item arrays."""

    def weighed(weights: Mapping[str, float]) -> Floats:
        total = np.zeros(count)
        for name, weight in weights.items():
            total += weight * arrays[name].astype(np.float64)
        return total

    return Terms(weighed(ratio.of), weighed(ratio.per) if ratio.per else np.ones(count))


def influence(terms: Terms) -> Floats:
    """(N,) what each item adds to the score's error, to first order; sums to 0.

    Source: linearisation (delta method) of a ratio, e.g. Cochran, Sampling Techniques, 6.4."""
    below = float(terms.denominator.sum())
    if not below:
        return np.zeros(len(terms.numerator))
    return (terms.numerator - terms.ratio() * terms.denominator) / below


def change(old: Terms, new: Terms) -> Floats:
    """(N,) what each item adds to new score - old score; the sum is exactly that difference.

    The linearised influences of both sides, taken at the mean score and mean denominator: with
    those the first-order formula has no remainder, and swapping the sides flips all signs."""
    below = (float(old.denominator.sum()) + float(new.denominator.sum())) / 2
    if not below:
        return np.zeros(len(old.numerator))
    middle = (old.ratio() + new.ratio()) / 2
    added = new.numerator - old.numerator
    return (added - middle * (new.denominator - old.denominator)) / below


def by_unit(values: Floats, units: Ints, count: int) -> Floats:
    """(U,) the sums of (N,) `values` over the items of each unit, `units` being (N,) numbers."""
    return np.bincount(units, weights=values, minlength=count).astype(np.float64)


def number(labels: npt.NDArray[Any]) -> Ints:
    """(N,) a number for each distinct label."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
