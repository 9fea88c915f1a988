from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from xharness.cards import TaskCard
from xharness.data.items import Choice, Dataset
from xharness.errors import DataError, PluginError
from xharness.evaluators.choice import ChoiceEvaluator
from xharness.metrics.accuracy import Accuracy


class SharedWords:
    """Scores an option by the words it shares with the premise."""

    def choose(self, premises: Sequence[str], options: Sequence[Sequence[str]]) -> Any:
        return np.array(
            [
                [len(set(premise.split()) & set(option.split())) for option in row]
                for premise, row in zip(premises, options, strict=True)
            ]
        )


class OneScoreTooMany(SharedWords):
    def choose(self, premises: Sequence[str], options: Sequence[Sequence[str]]) -> Any:
        return np.pad(super().choose(premises, options), ((0, 0), (0, 1)))


@pytest.fixture
def choices(dataset: Callable[..., Dataset]) -> Dataset:
    return dataset(
        Choice("1", "the glass fell", ("it sang", "the glass broke"), 1),
        Choice("2", "she ran", ("he slept", "they ate"), 1),
    )


def test_best_option_is_predicted_and_the_first_of_equal_ones(
    choices: Dataset, card: Callable[..., TaskCard]
) -> None:
    outcome = ChoiceEvaluator().evaluate(SharedWords(), choices, card("choice"), Accuracy())
    assert outcome.values == {"accuracy": 50.0}
    lines = [json.loads(line) for line in outcome.submission.splitlines()]
    assert lines == [{"label": 1}, {"label": 0}]
    assert outcome.per_item["predicted"].tolist() == [1, 0]


def test_scores_for_options_that_are_not_there_are_refused(
    choices: Dataset, card: Callable[..., TaskCard]
) -> None:
    with pytest.raises(PluginError, match=r"choose\(\) must return .* \(2, 2\), not .* \(2, 3\)"):
        ChoiceEvaluator().evaluate(OneScoreTooMany(), choices, card("choice"), Accuracy())


@pytest.mark.parametrize(("options", "label"), [(("a", "b", "c"), 1), (("a", "b"), 2)])
def test_items_that_do_not_fit_together_are_named(
    options: tuple[str, ...],
    label: int,
    dataset: Callable[..., Dataset],
    card: Callable[..., TaskCard],
) -> None:
    data = dataset(Choice("1", "p", ("a", "b"), 0), Choice("odd", "p", options, label))
    with pytest.raises(DataError, match="item 'odd' has"):
        ChoiceEvaluator().evaluate(SharedWords(), data, card("choice"), Accuracy())
