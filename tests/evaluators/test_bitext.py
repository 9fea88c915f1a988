from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Query
from xharness.errors import DataError, PluginError
from xharness.evaluators.bitext import BitextEvaluator
from xharness.metrics.accuracy import Accuracy

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
CASES = json.loads((GOLDEN / "retrieval-mining/similarity_search.json").read_text("utf-8"))


class BagOfCharacters:
    """Counts the letters a-z of a text; notes which side it was asked for."""

    def __init__(self) -> None:
        self.sides: list[str] = []

    def embed(self, texts: Sequence[str], side: str) -> Any:
        self.sides.append(side)
        letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
        return np.array([[text.count(letter) for letter in letters] for text in texts], float)


class Given:
    """Embeds the text "3" of a side as the vector 3 of it."""

    def __init__(self, **vectors: Any) -> None:
        self.vectors = vectors

    def embed(self, texts: Sequence[str], side: str) -> Any:
        return np.array([self.vectors[side][int(text)] for text in texts])


def test_nearest_candidate_is_predicted(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(
        Query("1", "the tea", ("c2",)),
        Query("2", "roads", ("c0",)),
        Query("3", "zzz", ("c0",)),
        pool=["a road", "a puzzle", "tea, the"],
    )
    model = BagOfCharacters()
    outcome = BitextEvaluator().evaluate(model, data, card("bitext"), Accuracy())
    assert outcome.submission == "2\n0\n1\n"
    assert outcome.values == pytest.approx({"accuracy": 200 / 3})
    assert outcome.per_item["predicted"].tolist() == [2, 0, 1]
    assert model.sides == ["query", "candidate"]


# The official search can also leave vectors as long as they are; the task never does, and a
# cosine can't.
@pytest.mark.parametrize(
    "case", [case for case in CASES if case["normalize"]], ids=lambda case: case["id"]
)
def test_official_nearest_neighbours(
    case: dict[str, Any], dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    queries = [Query(str(i), str(i), ("c0",)) for i in range(len(case["english"]))]
    data = dataset(*queries, pool=[str(i) for i in range(len(case["source"]))])
    model = Given(query=case["english"], candidate=case["source"])
    outcome = BitextEvaluator().evaluate(model, data, card("bitext"), Accuracy())
    assert outcome.per_item["predicted"].tolist() == case["expected"]


@pytest.mark.parametrize("targets", [("c9",), ("c0", "c1")])
def test_a_query_needs_one_target_of_the_pool(
    targets: tuple[str, ...], dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Query("1", "a", targets), pool=["a", "b"])
    with pytest.raises(DataError, match=r"query '1' has the targets .* in the pool of 2"):
        BitextEvaluator().evaluate(BagOfCharacters(), data, card("bitext"), Accuracy())


def test_vectors_that_are_not_finite_are_the_models_fault(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    model = Given(query=[[np.inf, 1]], candidate=[[1, 1]])
    data = dataset(Query("1", "0", ("c0",)), pool=["0"])
    with pytest.raises(PluginError, match=r"embed\(\) must return finite numbers"):
        BitextEvaluator().evaluate(model, data, card("bitext"), Accuracy())
