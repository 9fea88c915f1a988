"""Sentences whose translation is searched among candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Dataset, Query
from xharness.errors import DataError
from xharness.evaluators.contract import demand_lines, lacks, scorable
from xharness.evaluators.search import embed_unit, search
from xharness.plugins.roles import Embedder, Metric, Outcome


class BitextEvaluator:
    """Predicts the candidate with the highest cosine; of equal ones the lowest row.

    Submission: the candidate's 0-based row in the pool, one line a query. Per item also
    {"predicted"}: (N,) the same rows.
    Source: Tatoeba in google-research/xtreme third_party/evaluate_retrieval.py (L2 distance of
    vectors of unit length, which orders as the cosine does).
    """

    kind = "bitext"
    asks = "embed"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't embed or breaks its contract, DataError when
        there is nothing to score or a query has not exactly one target of the pool."""
        if not isinstance(model, Embedder):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Query)
        ids = [candidate.id for candidate in data.pool]
        known = set(ids)
        for item in items:
            if len(item.targets) != 1 or item.targets[0] not in known:
                raise DataError(
                    f"{data.task}/{data.language}: query {item.id!r} has the targets "
                    f"{list(item.targets)}; expected one, in the pool of {len(ids):,}."
                )
        queries = embed_unit(model, [item.text for item in items], "query")
        pool = embed_unit(model, [candidate.text for candidate in data.pool], "candidate")
        nearest = search(queries, pool, 1)[:, 0]
        rows = {id: i for i, id in enumerate(ids)}
        gold = [str(rows[item.targets[0]]) for item in items]
        return _outcome(gold, [str(i) for i in nearest], data, metric)

    def gold(self, labels: DataFile, task: TaskCard) -> list[Query]:
        """The row of the right candidate, one line a query; the line's number is the id."""
        return [
            Query(str(n), "", (line.strip(),) if line.strip() else ())
            for n, line in enumerate(labels.lines())
        ]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """Raises DataError unless there is a line for each query."""
        items = scorable(data, Query)
        lines = [line.strip() for line in predictions.lines()]
        demand_lines(predictions, lines, len(items))
        odd = [line for line in lines if not line.isdecimal()]
        if odd:
            predictions.notes.append(
                f"{len(odd):,} of {len(lines):,} predictions are no row and count as wrong, the "
                f"first is {odd[0]!r}"
            )
        rows = {candidate.id: str(i) for i, candidate in enumerate(data.pool)}
        gold = [rows.get(item.targets[0], item.targets[0]) for item in items]
        return _outcome(gold, lines, data, metric)


def _outcome(gold: Sequence[str], rows: Sequence[str], data: Dataset, metric: Metric) -> Outcome:
    scored = metric(gold, rows, data.language)
    predicted = np.array([int(row) if row.isdecimal() else -1 for row in rows])
    return Outcome(
        scored.values,
        {**scored.per_item, "predicted": predicted},
        "".join(f"{row}\n" for row in rows),
        scored.variants,
    )
