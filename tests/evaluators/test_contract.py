from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xharness.data.items import Dataset, Pair, Query
from xharness.errors import DataError, PluginError
from xharness.evaluators.bitext import BitextEvaluator
from xharness.evaluators.choice import ChoiceEvaluator
from xharness.evaluators.classification import ClassificationEvaluator
from xharness.evaluators.contract import finite, scorable
from xharness.evaluators.ranking import RankingEvaluator
from xharness.evaluators.span import SpanEvaluator
from xharness.evaluators.tagging import TaggingEvaluator
from xharness.metrics.accuracy import Accuracy

METHODS = {
    ClassificationEvaluator: "classify",
    ChoiceEvaluator: "choose",
    TaggingEvaluator: "tag",
    SpanEvaluator: "extract",
    BitextEvaluator: "embed",
    RankingEvaluator: "embed",
}


@pytest.mark.parametrize("evaluator", METHODS)
def test_a_model_without_the_capability_is_told_which_it_lacks(
    evaluator: Any, card: Any, dataset: Callable[..., Dataset]
) -> None:
    message = f"object can't be .* kind '{evaluator.kind}': it has no method '{METHODS[evaluator]}'"
    with pytest.raises(PluginError, match=message):
        evaluator().evaluate(object(), dataset(), card(evaluator.kind), Accuracy())


class CanDoAll:
    """Has every method, none of which must be reached."""

    def _fail(self, *_: Any) -> Any:
        raise AssertionError("there was nothing to predict")

    classify = choose = tag = extract = embed = _fail


@pytest.mark.parametrize("evaluator", METHODS)
def test_empty_data_has_no_score(
    evaluator: Any, card: Any, dataset: Callable[..., Dataset]
) -> None:
    with pytest.raises(DataError, match=r"toy/en \(test\): no items"):
        evaluator().evaluate(CanDoAll(), dataset(), card(evaluator.kind), Accuracy())


def test_stripped_labels_are_counted_and_the_first_is_named(
    dataset: Callable[..., Dataset],
) -> None:
    items = [Pair("1", "a", "b", "x"), Pair("2", "a", "b", None), Pair("3", "a", "b", None)]
    with pytest.raises(DataError, match="2 of 3 items have no label, the first is '2'"):
        scorable(dataset(*items), Pair)


def test_items_of_another_kind_are_refused(dataset: Callable[..., Dataset]) -> None:
    items = [Pair("1", "a", "b", "x"), Query("q", "text", ("c0",))]
    with pytest.raises(DataError, match="item 'q' is a Query, but this kind of task has Pair"):
        scorable(dataset(*items), Pair)


def test_finite_names_method_shape_and_place() -> None:
    assert finite([[1, 2]], "classify", (1, None)).tolist() == [[1, 2]]
    with pytest.raises(PluginError, match=r"classify\(\) .* shape \(2, any\), not .* \(1, 2\)"):
        finite(np.zeros((1, 2)), "classify", (2, None))
    with pytest.raises(PluginError, match=r"1 of 4 are not; the first is nan at \(1, 0\)"):
        finite(np.array([[0, 1], [np.nan, 2]]), "tag", (2, 2))
    with pytest.raises(PluginError, match="not <U1"):
        finite(np.array([["a"]]), "tag", (1, 1))
