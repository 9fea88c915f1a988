"""F1 over pairs that were found among many sentences."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import ClassVar

import numpy as np

from xharness.errors import DataError
from xharness.plugins.roles import Scored
from xharness.records import Ratio

Targets = Collection[Hashable]


class PairF1:
    """Precision, recall and F1 (percent) of the pairs of each item and its targets.

    Values {"f1", "precision", "recall"}, all 0 when no pair is right; per item {"n_gold",
    "n_predicted", "n_correct"}: (N,) counts, whose sums give the values. Pairs are sets: order
    and repetition don't count.

    Source: `bucc_f1` in google-research/xtreme evaluate.py.
    """

    name = "pair-f1"
    ratios: ClassVar = {
        "f1": Ratio({"n_correct": 200.0}, {"n_predicted": 1.0, "n_gold": 1.0}),
        "precision": Ratio({"n_correct": 100.0}, {"n_predicted": 1.0}),
        "recall": Ratio({"n_correct": 100.0}, {"n_gold": 1.0}),
    }

    def __call__(
        self, gold: Sequence[Targets], predicted: Sequence[Targets], language: str
    ) -> Scored:
        """Raises DataError when there is no gold pair (the official script says 0, which would
        be averaged into the suite unnoticed) or the sides differ in length."""
        if len(gold) != len(predicted):
            raise DataError(f"pair-f1 ({language}): {len(predicted)} items for {len(gold)}.")
        sides = [(set(g), set(p)) for g, p in zip(gold, predicted, strict=True)]
        counts = np.array([(len(g), len(p), len(g & p)) for g, p in sides], np.int64)
        n_gold, n_predicted, n_correct = (int(n) for n in counts.reshape(-1, 3).sum(axis=0))
        if not n_gold:
            raise DataError(f"pair-f1 ({language}): no gold pair, so there is no score.")
        precision = 100.0 * n_correct / n_predicted if n_correct else 0.0
        recall = 100.0 * n_correct / n_gold
        f1 = 2 * precision * recall / (precision + recall) if n_correct else 0.0
        return Scored(
            {"f1": f1, "precision": precision, "recall": recall},
            dict(zip(("n_gold", "n_predicted", "n_correct"), counts.T, strict=True)),
        )
