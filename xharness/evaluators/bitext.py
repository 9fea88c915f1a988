"""Sentences whose translation is searched among candidates."""

from __future__ import annotations

from typing import Any

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Query
from xharness.errors import DataError
from xharness.evaluators.contract import lacks, scorable
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
        scored = metric(
            [item.targets[0] for item in items], [ids[i] for i in nearest], data.language
        )
        return Outcome(
            scored.values,
            {**scored.per_item, "predicted": nearest},
            "".join(f"{i}\n" for i in nearest),
            scored.variants,
        )
