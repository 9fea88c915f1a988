from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from xharness.cards import TaskCard
from xharness.data.items import Answer, Dataset, Question
from xharness.errors import DataError, PluginError
from xharness.evaluators.span import SpanEvaluator
from xharness.metrics.answers import squad
from xharness.plugins.roles import Span


class Numbers:
    """Extracts the numbers of the context, the first one with the best score."""

    def extract(self, questions: Sequence[str], contexts: Sequence[str]) -> Any:
        return [
            [Span(m.start(), m.end(), -float(m.start())) for m in re.finditer(r"\d+", context)]
            for context in contexts
        ]


class Fixed:
    def __init__(self, *spans: Span) -> None:
        self.spans = spans

    def extract(self, questions: Sequence[str], contexts: Sequence[str]) -> Any:
        return [[span] for span in self.spans]


@pytest.fixture
def questions(dataset: Callable[..., Dataset]) -> Dataset:
    return dataset(
        Question("q1", "When?", "It was 1969 or 1970.", (Answer("1969", 7), Answer("69", 9))),
        Question("q2", "متى؟", "لم يكن ذلك", (Answer("ذلك", 7),)),
        Question("q3", "How many?", "𝟚 of 12 men", (Answer("12 men", 5),)),
    )


def test_first_span_is_the_answer_and_none_is_empty(
    questions: Dataset, card: Callable[..., TaskCard]
) -> None:
    outcome = SpanEvaluator().evaluate(Numbers(), questions, card("span"), squad)
    # Offsets count code points: the mathematical digit of q3 is one, though two UTF-16 units.
    assert json.loads(outcome.submission) == {"q1": "1969", "q2": "", "q3": "𝟚"}
    assert outcome.values["exact_match"] == pytest.approx(100 / 3)
    assert outcome.per_item["start"].tolist() == [7, 0, 0]
    assert outcome.per_item["end"].tolist() == [11, 0, 1]


@pytest.mark.parametrize(
    "span", [Span(3, 99, 0.0), Span(-1, 3, 0.0), Span(5, 3, 0.0), Span(0, 3, float("nan"))]
)
def test_spans_outside_the_context_are_the_models_fault(
    span: Span, questions: Dataset, card: Callable[..., TaskCard]
) -> None:
    with pytest.raises(PluginError, match=r"extract\(\) returned the span .* for 'q1'"):
        SpanEvaluator().evaluate(Fixed(span, span, span), questions, card("span"), squad)


def test_one_answer_a_question_is_expected(
    questions: Dataset, card: Callable[..., TaskCard]
) -> None:
    with pytest.raises(PluginError, match=r"extract\(\) returned 1 results for 3 items"):
        SpanEvaluator().evaluate(Fixed(Span(0, 1, 0.0)), questions, card("span"), squad)


def test_shared_ids_are_refused(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    item = Question("q", "?", "1", (Answer("1", 0),))
    with pytest.raises(DataError, match="2 questions share 1 ids"):
        SpanEvaluator().evaluate(Numbers(), dataset(item, item), card("span"), squad)
