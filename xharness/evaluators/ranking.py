"""Queries that are searched in one big pool of candidates."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Candidate, Dataset, Query
from xharness.errors import DataError
from xharness.evaluators.contract import answered, lacks, scorable
from xharness.evaluators.search import Vectors, embed_unit, search
from xharness.plugins.roles import Embedder, Metric, Outcome

CUT = 20  # ids of a ranking in the official submission


class RankingEvaluator:
    """Ranks the 20 nearest candidates of the whole pool by cosine; of equal ones the lowest row
    comes first.

    The pool's vectors are kept until another pool or model comes or the model is gone, since
    all languages of a job share both. A model must allow weak references (the default).
    Submission: a JSON object, query id -> ids, best first. Per item also {"predicted"}:
    (N, 20) rows of the pool (fewer columns when the pool is smaller).
    """

    kind = "ranking"
    asks = "embed"

    def __init__(self) -> None:
        self._model: weakref.ref[Any] | None = None
        self._pool: Sequence[Candidate] = ()
        self._vectors: Vectors | None = None

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't embed or breaks its contract, DataError when
        there is nothing to score, a target is not in the pool or two queries share an id."""
        if not isinstance(model, Embedder):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Query)
        where = f"{data.task}/{data.language}"
        known = {candidate.id for candidate in data.pool}
        for item in items:
            absent = [target for target in item.targets if target not in known]
            if absent:
                raise DataError(
                    f"{where}: the target {absent[0]!r} of query {item.id!r} is not among the "
                    f"{len(known):,} candidates, so it can't be found."
                )
        pool = self._pool_vectors(model, data.pool)
        queries = embed_unit(model, [item.text for item in items], "query")
        rows = search(queries, pool, CUT)
        rankings = [[data.pool[i].id for i in row] for row in rows]
        by_id = {item.id: ids for item, ids in zip(items, rankings, strict=True)}
        if len(by_id) < len(rankings):
            raise DataError(
                f"{where}: {len(rankings):,} queries share {len(by_id):,} ids; the rankings are "
                "filed by id."
            )
        scored = metric([item.targets for item in items], rankings, data.language)
        return Outcome(
            scored.values,
            {**scored.per_item, "predicted": rows},
            _submission(by_id),
            scored.variants,
        )

    def gold(self, labels: DataFile, task: TaskCard) -> list[Query]:
        """A JSON object, query id -> ids of the right candidates; stripped ones are empty."""
        given = labels.json(dict[str, list[str]])
        return [
            Query(key, "", tuple(t.strip() for t in targets if t.strip()))
            for key, targets in given.items()
        ]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """As officially, a query without a ranking scores 0; a note counts them."""
        items = scorable(data, Query)
        given = predictions.json(dict[str, list[str]])
        rankings = answered(predictions, given, [item.id for item in items])
        scored = metric(
            [item.targets for item in items], [r or [] for r in rankings], data.language
        )
        return Outcome(scored.values, scored.per_item, _submission(given), scored.variants)

    def _pool_vectors(self, model: Embedder, pool: Sequence[Candidate]) -> Vectors:
        kept = self._model is not None and self._model() is model and self._pool is pool
        if not kept or self._vectors is None:
            self._forget()  # before the new vectors are made: two pools need not fit into memory
            self._vectors = embed_unit(model, [candidate.text for candidate in pool], "candidate")
            self._model = weakref.ref(model, self._forget)
            self._pool = pool
        return self._vectors

    def _forget(self, _: object = None) -> None:
        self._model, self._pool, self._vectors = None, (), None


def _submission(rankings: Mapping[str, Sequence[str]]) -> str:
    return json.dumps(rankings, ensure_ascii=False) + "\n"
