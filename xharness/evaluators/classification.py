"""Sentence pairs with one label each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Dataset, Pair
from xharness.data.readers.ask import Ask
from xharness.errors import DataError, did_you_mean
from xharness.evaluators.contract import demand_lines, finite, lacks, scorable
from xharness.plugins.roles import Classifier, Metric, Outcome


class ClassificationEvaluator:
    """Predicts the label with the highest logit; of equal ones the first in the card wins.

    Submission: one label per line, in item order. Per item also {"predicted"}: (N,) index of
    the label, -1 for one that the card doesn't have.
    """

    kind = "classification"
    asks = "classify"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't classify or breaks its contract, DataError
        when there is nothing to score or a gold label is not in the card."""
        if not isinstance(model, Classifier):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Pair)
        for item in items:
            if item.label not in task.labels:
                near = did_you_mean(str(item.label), task.labels)
                raise DataError(
                    f"{data.task}/{data.language}: item {item.id!r} is labelled {item.label!r}; "
                    f"the card's labels are {', '.join(task.labels)}.{near}"
                )
        logits = model.classify([(item.first, item.second) for item in items])
        best = finite(logits, "classify", (len(items), len(task.labels))).argmax(axis=1)
        return _outcome(items, [task.labels[i] for i in best], data, task, metric)

    def gold(self, labels: DataFile, task: TaskCard) -> list[Pair]:
        """One label a line; the line's number is the id and the parallel key. Raises DataError
        for a label that the card doesn't have: the file is another task's, or holds texts, too."""
        ask = Ask("", tuple(task.labels))
        return [
            Pair(str(n), "", "", ask.known(label, labels) if label else None, str(n), str(n))
            for n, label in enumerate(map(str.strip, labels.lines()), 1)
        ]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """As officially, a label that the card doesn't have is a wrong one; a note counts them.
        Raises DataError unless there is a line for each item."""
        items = scorable(data, Pair)
        labels = [line.strip() for line in predictions.lines()]
        demand_lines(predictions, labels, len(items))
        unknown = [label for label in labels if label not in task.labels]
        if unknown:
            near = did_you_mean(unknown[0], task.labels)
            predictions.notes.append(
                f"{len(unknown):,} of {len(labels):,} predictions are none of the labels and count "
                f"as wrong, the first is {unknown[0]!r}.{near}"
            )
        return _outcome(items, labels, data, task, metric)


def _outcome(
    items: Sequence[Pair], labels: Sequence[str], data: Dataset, task: TaskCard, metric: Metric
) -> Outcome:
    scored = metric([item.label for item in items], labels, data.language)
    index = {label: i for i, label in enumerate(task.labels)}
    predicted = np.array([index.get(label, -1) for label in labels])
    return Outcome(
        scored.values,
        {**scored.per_item, "predicted": predicted},
        "".join(f"{label}\n" for label in labels),
        scored.variants,
    )
