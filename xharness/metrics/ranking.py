"""Mean average precision of ranked ids, cut at 20."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from xharness.errors import DataError
from xharness.plugins.roles import Scored
from xharness.records import Ratio

CUT = 20


def average_precision(targets: Sequence[str], ranking: Sequence[str], k: int | None) -> float:
    """Average precision in 0..1 of the first `k` ids of `ranking` (None: of all).

    Sum over hits of (hits so far / rank), divided by min(number of targets, k). A repeated id
    is a hit once but takes up a rank each time. With one target this is the reciprocal rank.
    Raises DataError without targets.

    Sources: `average_precision_at_k` of LAReQA (third_party/utils_lareqa.py) and the mean
    reciprocal rank of Mewsli-X (third_party/utils_mewslix.py), both in google-research/xtreme.
    """
    missing = set(targets)
    if not missing:
        raise DataError("map: an item without targets can't be scored.")
    divisor = len(missing) if k is None else min(len(missing), k)
    hits, total = 0, 0.0
    for rank, candidate in enumerate(ranking[:k], start=1):
        if candidate in missing:
            missing.remove(candidate)
            hits += 1
            total += hits / rank
    return total / divisor


class MeanAveragePrecision:
    """Mean over items of the average precision of the 20 best ids, in percent.

    `gold` holds a tuple of target ids for each item, `predicted` ids, best first.
    Values {"map@20"}, per item {"map@20"}: (N,) float64 in percent, whose mean is the value.
    """

    name = "map@20"
    ratios: ClassVar = {"map@20": Ratio({"map@20": 1.0})}

    def __call__(
        self, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], language: str
    ) -> Scored:
        """Raises DataError when there are no items, the sides differ in length or an item has
        no target."""
        if not len(gold) or len(gold) != len(predicted):
            raise DataError(
                f"map@20 ({language}): {len(predicted)} rankings for {len(gold)} queries."
            )
        each = 100.0 * np.array(
            [average_precision(g, p, CUT) for g, p in zip(gold, predicted, strict=True)]
        )
        return Scored({"map@20": float(each.mean())}, {"map@20": each})
