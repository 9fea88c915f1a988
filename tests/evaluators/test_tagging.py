from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from xharness.cards import TaskCard
from xharness.data.items import Dataset, Sentence
from xharness.errors import DataError, PluginError
from xharness.evaluators.tagging import TaggingEvaluator
from xharness.metrics.tagging import SeqEval

LABELS = ["O", "B-PER", "I-PER"]


class Capitals:
    """Tags capitalised words as a person, the second and later of a row as inside."""

    def tag(self, sentences: Sequence[Sequence[str]]) -> Any:
        return [self._logits([word[:1].isupper() for word in words]) for words in sentences]

    def _logits(self, capital: list[bool]) -> Any:
        kinds = [
            0 if not now else 2 if before else 1
            for now, before in zip(capital, [False, *capital], strict=False)
        ]
        return np.eye(3)[kinds]


class DropsAWord(Capitals):
    def tag(self, sentences: Sequence[Sequence[str]]) -> Any:
        return [logits[:-1] for logits in super().tag(sentences)]


class DropsASentence(Capitals):
    def tag(self, sentences: Sequence[Sequence[str]]) -> Any:
        return super().tag(sentences)[:-1]


@pytest.fixture
def sentences(dataset: Callable[..., Dataset]) -> Dataset:
    return dataset(
        Sentence("1", ("Ada", "Lovelace", "wrote"), ("B-PER", "I-PER", "O")),
        Sentence("2", ("Paris", "sleeps"), ("O", "O")),
    )


def test_tags_are_scored_as_chunks_and_written_one_a_line(
    sentences: Dataset, card: Callable[..., TaskCard]
) -> None:
    task = card("tagging", LABELS)
    outcome = TaggingEvaluator().evaluate(Capitals(), sentences, task, SeqEval())
    assert outcome.submission == "B-PER\nI-PER\nO\n\nB-PER\nO\n"
    assert outcome.values["precision"] == pytest.approx(50)
    assert outcome.values["recall"] == pytest.approx(100)
    assert outcome.values["token_accuracy"] == pytest.approx(80)
    assert outcome.per_item["predicted"].tolist() == [1, 1]
    assert outcome.variants["f1"] == "seqeval 0.0.12"


def test_first_of_equal_logits_wins(sentences: Dataset, card: Callable[..., TaskCard]) -> None:
    class Undecided:
        def tag(self, sentences: Sequence[Sequence[str]]) -> Any:
            return [np.zeros((len(words), 3)) for words in sentences]

    task = card("tagging", LABELS)
    outcome = TaggingEvaluator().evaluate(Undecided(), sentences, task, SeqEval())
    assert outcome.submission == "O\nO\nO\n\nO\nO\n"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (DropsAWord(), r"tag\(\) must return numbers of shape \(3, 3\), not .* \(2, 3\)"),
        (DropsASentence(), r"tag\(\) returned 1 results for 2 items"),
    ],
)
def test_missing_words_and_sentences_are_the_models_fault(
    model: Any, message: str, sentences: Dataset, card: Callable[..., TaskCard]
) -> None:
    with pytest.raises(PluginError, match=message):
        TaggingEvaluator().evaluate(model, sentences, card("tagging", LABELS), SeqEval())


def test_gold_tag_of_another_scheme_is_an_error(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Sentence("9", ("Ada",), ("B-PERS",)))
    with pytest.raises(DataError, match=r"sentence '9' has the tag 'B-PERS'.*mean 'B-PER'"):
        TaggingEvaluator().evaluate(Capitals(), data, card("tagging", LABELS), SeqEval())


def test_words_without_a_tag_count_as_missed_as_officially(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Sentence("1", ("Ada", "x"), ("B-PER", "_")))
    outcome = TaggingEvaluator().evaluate(Capitals(), data, card("tagging", LABELS), SeqEval())
    assert outcome.values["recall"] == pytest.approx(50)
    assert outcome.values["precision"] == pytest.approx(100)


def test_unequal_words_and_tags_are_an_error(
    dataset: Callable[..., Dataset], card: Callable[..., TaskCard]
) -> None:
    data = dataset(Sentence("1", ("Ada", "x"), ("B-PER",)))
    with pytest.raises(DataError, match="has 2 words and 1 tags"):
        TaggingEvaluator().evaluate(Capitals(), data, card("tagging", LABELS), SeqEval())
