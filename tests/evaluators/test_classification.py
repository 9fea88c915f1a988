from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Pair
from xharness.errors import DataError, PluginError
from xharness.evaluators.classification import ClassificationEvaluator
from xharness.metrics.accuracy import Accuracy

LABELS = ["contradiction", "entailment", "neutral"]


class Overlap:
    """Says entailment when the second text lies in the first, contradiction when it holds
    "not"; otherwise all logits are equal."""

    def classify(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return np.array([["not" in b, b in a, 0] for a, b in pairs], float)


class Constant:
    def __init__(self, logits: Any) -> None:
        self.logits = logits

    def classify(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return self.logits


@pytest.fixture
def pairs(dataset: Callable[..., Dataset]) -> Dataset:
    return dataset(
        Pair("1", "it rains now", "it rains", "entailment"),
        Pair("2", "it rains", "it does not", "contradiction"),
        Pair("3", "it rains", "he sings", "neutral"),
    )


def test_highest_logit_wins_and_the_first_of_equal_ones(
    pairs: Dataset, card: Callable[..., TaskCard]
) -> None:
    task = card("classification", LABELS)
    outcome = ClassificationEvaluator().evaluate(Overlap(), pairs, task, Accuracy())
    assert outcome.submission == "entailment\ncontradiction\ncontradiction\n"
    assert outcome.values == pytest.approx({"accuracy": 200 / 3})
    assert outcome.per_item["correct"].tolist() == [True, True, False]
    assert outcome.per_item["predicted"].tolist() == [1, 0, 0]


def test_unknown_gold_label_is_named_with_what_is_near(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Pair("7", "a", "b", "contradictory"))
    with pytest.raises(DataError, match=r"item '7' .*'contradictory'.*mean 'contradiction'"):
        ClassificationEvaluator().evaluate(
            Overlap(), data, card("classification", LABELS), Accuracy()
        )


@pytest.mark.parametrize(
    "logits", [np.zeros((3, 2)), np.zeros((2, 3)), np.zeros(3), np.full((3, 3), np.nan), None]
)
def test_broken_logits_are_the_models_fault(
    logits: Any, pairs: Dataset, card: Callable[..., TaskCard]
) -> None:
    with pytest.raises(PluginError, match=r"classify\(\) must return"):
        ClassificationEvaluator().evaluate(
            Constant(logits), pairs, card("classification", LABELS), Accuracy()
        )
