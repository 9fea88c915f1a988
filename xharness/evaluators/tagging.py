"""Sentences with a tag for each word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Dataset, Sentence
from xharness.data.readers.ask import Ask
from xharness.errors import DataError, did_you_mean
from xharness.evaluators.contract import demand_count, finite, lacks, scorable
from xharness.plugins.roles import Metric, Outcome, Tagger

# CoNLL-U's "not given": some treebanks hold a few such words. No model is trained to say so,
# and the official scorer counts them like any tag, hence as missed.
NOT_GIVEN = "_"


class TaggingEvaluator:
    """Predicts for each word the tag with the highest logit; of equal ones the first wins.

    Submission: one tag per line, a blank line between sentences.
    """

    kind = "tagging"
    asks = "tag"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't tag or breaks its contract, DataError when
        there is nothing to score or a gold tag is not in the card (another tag scheme would
        otherwise pass for a bad model)."""
        if not isinstance(model, Tagger):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, Sentence)
        for item in items:
            _demand_tags(item, data, task)
        returned = model.tag([item.words for item in items])
        demand_count(returned, "tag", len(items))
        predicted = [
            [
                task.labels[i]
                for i in finite(logits, "tag", (len(item.words), len(task.labels))).argmax(axis=1)
            ]
            for item, logits in zip(items, returned, strict=True)
        ]
        return _outcome(items, predicted, data, metric)

    def gold(self, labels: DataFile, task: TaskCard) -> list[Sentence]:
        """One tag a line, a blank line between sentences; the sentence's number is the id. Raises
        DataError for a tag that the card doesn't have."""
        return [
            Sentence(str(n), ("",) * len(tags), tuple(tags), str(n), str(n))
            for n, tags in enumerate(_sentences(labels, (*task.labels, NOT_GIVEN)), 1)
        ]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """As officially, a tag that the card doesn't have is a wrong one; a note counts them.
        Raises DataError unless sentences and words are as many as the items have."""
        items = scorable(data, Sentence)
        predicted = list(_sentences(predictions))
        unknown = [tag for tags in predicted for tag in tags if tag not in task.labels]
        if unknown:
            near = did_you_mean(unknown[0], task.labels)
            predictions.notes.append(
                f"{len(unknown):,} predicted tags are none of the card's, the first is "
                f"{unknown[0]!r}.{near}"
            )
        return _outcome(items, predicted, data, metric)


def _demand_tags(item: Sentence, data: Dataset, task: TaskCard) -> None:
    tags = item.tags or ()
    where = f"{data.task}/{data.language}: sentence {item.id!r}"
    if not item.words or len(item.words) != len(tags):
        raise DataError(f"{where} has {len(item.words)} words and {len(tags)} tags.")
    unknown = set(tags).difference(task.labels, {NOT_GIVEN})
    if unknown:
        tag = min(unknown)
        near = did_you_mean(tag, task.labels)
        raise DataError(
            f"{where} has the tag {tag!r}; the card's are {', '.join(task.labels)}.{near}"
        )


def _sentences(file: DataFile, known: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """As the official script reads them: two blank lines in a row hold an empty sentence. Raises
    DataError for a tag that is not among those that are `known`, if any are."""
    ask = Ask("", known)
    tags: list[str] = []
    for line in file.lines():
        if tag := line.strip():
            tags.append(ask.known(tag, file))
        else:
            yield tags
            tags = []
    if tags:
        yield tags


def _outcome(
    items: Sequence[Sentence], predicted: Sequence[Sequence[str]], data: Dataset, metric: Metric
) -> Outcome:
    scored = metric([item.tags for item in items], predicted, data.language)
    submission = "\n\n".join("\n".join(tags) for tags in predicted) + "\n"
    return Outcome(scored.values, scored.per_item, submission, scored.variants)
