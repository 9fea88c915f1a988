"""Exact match and token F1 of answer texts, as SQuAD and MLQA compute them."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from xharness.errors import DataError
from xharness.plugins.roles import Scored

Normaliser = Callable[[str], str]

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENGLISH_ARTICLES = re.compile(r"\b(?:an?|the)\b")


def normalise_squad(text: str) -> str:
    """`text` in lower case without ASCII punctuation and English articles, blanks collapsed.

    The same for all languages, so Chinese is compared whole and "the" goes from Spanish too.
    Source: third_party/evaluate_squad.py in google-research/xtreme.
    """
    bare = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join(_ENGLISH_ARTICLES.sub(" ", bare).split())


class _Punctuation(dict[int, "int | None"]):
    """A table for `str.translate` that deletes punctuation and learns characters as they come."""

    def __missing__(self, code: int) -> int | None:
        char = chr(code)
        drop = char in string.punctuation or unicodedata.category(char).startswith("P")
        self[code] = None if drop else code
        return self[code]


_PUNCTUATION = _Punctuation()

# Arabic has the article joined to its noun; the official script takes it out of any word.
_ARTICLES = {
    "ar": "ال",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(?:an?|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "zh": None,
}
_HAN = re.compile("([\u4e00-\u9fa5])")


@cache
def mlqa_normaliser(language: str) -> Normaliser:
    """What MLQA does to answers in `language`: lower case, no punctuation of any script, no
    articles of the language, Chinese characters as words, blanks collapsed.

    Raises DataError for other than the seven languages: their articles are not defined.
    Source: third_party/evaluate_mlqa.py in google-research/xtreme.
    """
    if language not in _ARTICLES:
        raise DataError(
            f"mlqa: answers in {language!r} can't be compared; the languages are "
            f"{', '.join(_ARTICLES)}."
        )
    pattern = _ARTICLES[language]
    articles = re.compile(pattern) if pattern else None

    def normalise(text: str) -> str:
        bare = text.lower().translate(_PUNCTUATION)
        if articles:
            bare = articles.sub(" ", bare)
        if language == "zh":
            bare = _HAN.sub(r" \1 ", bare)
        return " ".join(bare.split())

    return normalise


def token_f1(predicted: str, gold: str) -> float:
    """F1 in 0..1 of the words of two normalised texts as bags; 0 when one has no words."""
    if predicted == gold:
        return 1.0 if gold else 0.0
    left, right = predicted.split(), gold.split()
    kinds = set(left)
    if kinds.isdisjoint(right):
        return 0.0
    if len(kinds) == len(left):
        same = len(kinds.intersection(right))
    else:
        same = (Counter(left) & Counter(right)).total()
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


class Answers:
    """Mean exact match and token F1 of answers, in percent, each the best over an item's golds.

    `gold` holds a tuple of answer texts for each item, `predicted` a text or None when the item
    was not answered, which scores 0. Values and per item {"exact_match", "f1"}, the latter (N,)
    float64 in percent, so that their means are the values. Two texts that both normalise to
    nothing match exactly and have an F1 of 0, as in the official scripts.
    """

    def __init__(self, name: str, normaliser: Callable[[str], Normaliser]) -> None:
        """`normaliser` gives the normalisation for a language."""
        self.name = name
        self.normaliser = normaliser

    def __call__(
        self, gold: Sequence[Sequence[str]], predicted: Sequence[str | None], language: str
    ) -> Scored:
        """Raises DataError when there are no items, the sides differ in length, a prediction is
        no text, an answered item has no gold answer or the language has no normalisation."""
        if not len(gold) or len(gold) != len(predicted):
            raise DataError(
                f"{self.name} ({language}): {len(predicted)} answers for {len(gold)} questions."
            )
        exact = np.zeros(len(gold))
        f1 = np.zeros(len(gold))
        seen: dict[str, str] = {}  # gold answers repeat each other and the predictions

        def normal(text: str) -> str:
            if text not in seen:
                seen[text] = self.normaliser(language)(text)
            return seen[text]

        for i, (answers, text) in enumerate(zip(gold, predicted, strict=True)):
            if text is None:
                continue
            if not isinstance(text, str):
                raise DataError(
                    f"{self.name} ({language}): answer {i + 1} is {text!r}, but must be a text."
                )
            if not answers:
                raise DataError(f"{self.name} ({language}): item {i + 1} has no gold answer.")
            guess = normal(text)
            normals = set(map(normal, answers))
            exact[i] = 100.0 * (guess in normals)
            f1[i] = 100.0 * max(token_f1(guess, answer) for answer in normals)
        values = {"exact_match": float(exact.mean()), "f1": float(f1.mean())}
        return Scored(values, {"exact_match": exact, "f1": f1})


squad = Answers("squad", lambda language: normalise_squad)
mlqa = Answers("mlqa", mlqa_normaliser)
