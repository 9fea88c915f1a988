"""Sentence pairs with one label each."""

from __future__ import annotations

from typing import Any

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Pair
from xharness.errors import DataError, did_you_mean
from xharness.evaluators.contract import finite, lacks, scorable
from xharness.plugins.roles import Classifier, Metric, Outcome


class ClassificationEvaluator:
    """Predicts the label with the highest logit; of equal ones the first in the card wins.

    Submission: one label per line, in item order. Per item also {"predicted"}: (N,) index of
    the label.
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
        labels = [task.labels[i] for i in best]
        scored = metric([item.label for item in items], labels, data.language)
        return Outcome(
            scored.values,
            {**scored.per_item, "predicted": best},
            "".join(f"{label}\n" for label in labels),
            scored.variants,
        )
