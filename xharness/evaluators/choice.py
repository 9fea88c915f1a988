"""A premise and several options, one of which is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Choice, Dataset
from xharness.errors import DataError
from xharness.evaluators.contract import demand_lines, finite, lacks, scorable
from xharness.plugins.roles import Chooser, Metric, Outcome


class _Line(msgspec.Struct):
    label: int


class ChoiceEvaluator:
    """Predicts the option with the highest score; of equal ones the first wins.

    Submission: one line `{"label": i}` an item. Per item also {"predicted"}: (N,) index of the
    option.
    """

    kind = "choice"
    asks = "choose"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't choose or breaks its contract, DataError when
        there is nothing to score or the items have not equally many options."""
        if not isinstance(model, Chooser):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Choice)
        count = len(items[0].options)
        for item in items:
            if len(item.options) != count or item.label not in range(count):
                raise DataError(
                    f"{data.task}/{data.language}: item {item.id!r} has {len(item.options)} "
                    f"options and label {item.label!r}; expected {count} options as in the first "
                    f"item and a label from 0 to {count - 1}."
                )
        scores = model.choose([item.premise for item in items], [item.options for item in items])
        best = finite(scores, "choose", (len(items), count)).argmax(axis=1)
        return _outcome(items, best.tolist(), data, metric)

    def gold(self, labels: DataFile, task: TaskCard) -> list[Choice]:
        """One `{"label": i}` a line; the line's number is the id."""
        return [
            Choice(str(n), "", (), line.label, str(n), str(n))
            for n, line in enumerate(labels.json_lines(_Line), 1)
        ]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """Raises DataError unless there is a line for each item, with a whole number each."""
        items = scorable(data, Choice)
        indices = [line.label for line in predictions.json_lines(_Line)]
        demand_lines(predictions, indices, len(items))
        return _outcome(items, indices, data, metric)


def _outcome(
    items: Sequence[Choice], indices: Sequence[int], data: Dataset, metric: Metric
) -> Outcome:
    scored = metric([item.label for item in items], indices, data.language)
    return Outcome(
        scored.values,
        {**scored.per_item, "predicted": np.array(indices)},
        "".join(f'{{"label": {i}}}\n' for i in indices),
        scored.variants,
    )
