"""Accuracy: the share of items whose prediction equals the gold value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from xharness.errors import DataError
from xharness.plugins.roles import Scored
from xharness.records import Ratio


class Accuracy:
    """Percent of predictions that equal (`==`) the gold value of the same item.

    Values {"accuracy"}, per item {"correct"}: (N,) bool. Works on labels, option indices and
    ids alike; "007" is not "7" and "1" is not 1.

    Source: `accuracy` in google-research/xtreme evaluate.py (sentence pairs, Tatoeba, XCOPA).
    """

    name = "accuracy"
    ratios: ClassVar = {"accuracy": Ratio({"correct": 100.0})}

    def __call__(self, gold: Sequence[Any], predicted: Sequence[Any], language: str) -> Scored:
        """Raises DataError when there is nothing to score (a 0.0 would be averaged into the
        suite unnoticed) or the sides differ in length."""
        if not len(gold) or len(gold) != len(predicted):
            raise DataError(
                f"accuracy ({language}): {len(predicted)} predictions for {len(gold)} gold values."
            )
        correct = np.fromiter(
            (bool(g == p) for g, p in zip(gold, predicted, strict=True)), bool, len(gold)
        )
        return Scored({"accuracy": 100.0 * float(correct.mean())}, {"correct": correct})
