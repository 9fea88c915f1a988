from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Query
from xharness.errors import DataError
from xharness.evaluators.ranking import RankingEvaluator
from xharness.metrics.ranking import MeanAveragePrecision


class Compass:
    """Embeds a number as the direction with this angle in degrees; counts what it embeds."""

    def __init__(self) -> None:
        self.embedded: dict[str, int] = {"query": 0, "candidate": 0}

    def embed(self, texts: Sequence[str], side: str) -> Any:
        self.embedded[side] += len(texts)
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def compass_data(dataset: Callable[..., Dataset]) -> Dataset:
    """Candidates at 0, 10, ..., 350 degrees and at 90 once more (c36)."""
    return dataset(
        Query("east", "1", ("c0", "c35")),
        Query("north", "92", ("c36",)),
        Query("west", "176", ("c0",)),
        pool=[*map(str, range(0, 360, 10)), "90"],
    )


def test_nearest_come_first_and_of_equal_ones_the_lower_row(
    compass_data: Dataset, card: Callable[..., TaskCard]
) -> None:
    outcome = RankingEvaluator().evaluate(
        Compass(), compass_data, card("ranking"), MeanAveragePrecision()
    )
    rankings = json.loads(outcome.submission)
    assert rankings["east"][:4] == ["c0", "c1", "c35", "c2"]
    assert rankings["north"][:4] == ["c9", "c36", "c10", "c8"]
    assert [len(ids) for ids in rankings.values()] == [20, 20, 20]
    # (1 + 2/3) / 2, 1/2, and a target on the other side of the compass.
    expected = [100 * 5 / 6, 50, 0]
    assert outcome.per_item["map@20"].tolist() == pytest.approx(expected)
    assert outcome.values == pytest.approx({"map@20": sum(expected) / 3})
    assert outcome.per_item["predicted"][0, :4].tolist() == [0, 1, 35, 2]


def test_pool_is_embedded_once_for_all_languages_of_a_model(
    compass_data: Dataset, card: Callable[..., TaskCard]
) -> None:
    evaluator, model = RankingEvaluator(), Compass()
    arguments = card("ranking"), MeanAveragePrecision()
    first = evaluator.evaluate(model, compass_data, *arguments)
    german = replace(compass_data, language="de", items=compass_data.items[:1])
    evaluator.evaluate(model, german, *arguments)
    assert model.embedded == {"query": 4, "candidate": 37}

    # Another pool of the same size, then another model: nothing of the old may stay.
    turned = replace(compass_data, pool=compass_data.pool[::-1])
    second = evaluator.evaluate(model, turned, *arguments)
    assert model.embedded["candidate"] == 2 * 37
    assert second.values != first.values or second.submission != first.submission
    other = Compass()
    evaluator.evaluate(other, turned, *arguments)
    assert other.embedded["candidate"] == 37


def test_vectors_go_with_the_model(compass_data: Dataset, card: Callable[..., TaskCard]) -> None:
    evaluator, model = RankingEvaluator(), Compass()
    evaluator.evaluate(model, compass_data, card("ranking"), MeanAveragePrecision())
    assert evaluator._vectors is not None
    del model
    gc.collect()
    assert evaluator._vectors is None


def test_a_target_outside_the_pool_is_an_error(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Query("q", "0", ("c0", "Q42")), pool=["0", "1"])
    with pytest.raises(DataError, match="'Q42' of query 'q' is not among the 2 candidates"):
        RankingEvaluator().evaluate(Compass(), data, card("ranking"), MeanAveragePrecision())


def test_a_small_pool_gives_short_rankings(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Query("q", "5", ("c1",)), pool=["0", "90", "180"])
    outcome = RankingEvaluator().evaluate(Compass(), data, card("ranking"), MeanAveragePrecision())
    assert json.loads(outcome.submission) == {"q": ["c0", "c1", "c2"]}


def test_shared_ids_are_refused(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Query("q", "5", ("c1",)), Query("q", "6", ("c1",)), pool=["0", "90"])
    with pytest.raises(DataError, match="2 queries share 1 ids"):
        RankingEvaluator().evaluate(Compass(), data, card("ranking"), MeanAveragePrecision())
