"""Questions whose answers are pieces of a context."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Dataset, Question
from xharness.data.readers import squad
from xharness.data.readers.ask import Ask
from xharness.errors import DataError, PluginError
from xharness.evaluators.contract import answered, demand_count, lacks, scorable
from xharness.plugins.roles import Extractor, Metric, Outcome, Scored, Span


class SpanEvaluator:
    """Predicts the text of the first span that the model returns, or "" when it returns none.

    Submission: a JSON object, question id -> answer. Per item also {"start", "end"}: (N,) code
    points into the context, both 0 when nothing was extracted.
    """

    kind = "span"
    asks = "extract"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't extract or breaks its contract, DataError when
        there is nothing to score or two questions share an id."""
        if not isinstance(model, Extractor):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Question)
        returned = model.extract(
            [item.question for item in items], [item.context for item in items]
        )
        demand_count(returned, "extract", len(items))
        best = [_first(item, spans) for item, spans in zip(items, returned, strict=True)]
        answers = {
            item.id: item.context[start:end] for item, (start, end) in zip(items, best, strict=True)
        }
        if len(answers) < len(items):
            raise DataError(
                f"{data.task}/{data.language}: {len(items):,} questions share "
                f"{len(answers):,} ids; the answers are filed by id."
            )
        scored = _scored(items, list(answers.values()), data, metric)
        starts, ends = np.array(best).T
        return Outcome(
            scored.values,
            {**scored.per_item, "start": starts, "end": ends},
            _submission(answers),
            scored.variants,
        )

    def gold(self, labels: DataFile, task: TaskCard) -> list[Question]:
        """The questions of a file in the format of SQuAD 1.1."""
        return list(squad.read(labels, Ask("")))

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """As officially, a question without a prediction scores 0; a note counts them."""
        items = scorable(data, Question)
        given = predictions.json(dict[str, str])
        answers = answered(predictions, given, [item.id for item in items])
        scored = _scored(items, answers, data, metric)
        return Outcome(scored.values, scored.per_item, _submission(given), scored.variants)


def _scored(
    items: Sequence[Question], answers: Sequence[str | None], data: Dataset, metric: Metric
) -> Scored:
    gold = [tuple(answer.text for answer in item.answers) for item in items]
    return metric(gold, answers, data.language)


def _submission(answers: Mapping[str, str]) -> str:
    return json.dumps(answers, ensure_ascii=False, indent=1) + "\n"


def _first(item: Question, spans: Sequence[Span]) -> tuple[int, int]:
    if not spans:
        return 0, 0
    start, end, score = spans[0]
    if not (0 <= start <= end <= len(item.context) and math.isfinite(score)):
        raise PluginError(
            f"extract() returned the span {start}..{end} with score {score} for {item.id!r}; it "
            f"must lie within the {len(item.context)} characters and have a finite score."
        )
    return start, end
