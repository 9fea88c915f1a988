"""Exact match and token F1 of answer texts, as SQuAD and MLQA compute them."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from xharness.errors import DataError
from xharness.plugins.roles import Scored
from xharness.records import Ratio

# Texts to what they are compared by, word for word; blanks don't matter.
Normaliser = Callable[[Sequence[str]], list[str]]

_ASCII_PUNCTUATION = string.punctuation.encode()
# As \b(a|an|the)\b, but the search can skip to the next a or t, which halves its time.
_ENGLISH_ARTICLES = re.compile(r"[at](?<!\w[at])(?:(?<=a)n?|(?<=t)he)\b")


def _at_once(clean: Callable[[str], str], texts: Sequence[str]) -> list[str]:
    """What `clean` makes of each text, when it is run over all of them, joined by NUL.

    NUL is neither letter, blank nor punctuation, so lower-casing and word boundaries stop at it
    as they do at the end of a text. Texts that hold one themselves are cleaned one by one.
    """
    joined = "\0".join(texts)
    return clean(joined).split("\0") if joined.count("\0") < len(texts) else [*map(clean, texts)]


def normalise_squad(texts: Sequence[str]) -> list[str]:
    """The texts in lower case without ASCII punctuation and English articles.

    The same for all languages, so Chinese is compared whole and "the" goes from Spanish too.
    Source: third_party/evaluate_squad.py in google-research/xtreme.
    """

    def clean(text: str) -> str:
        # No byte of a longer UTF-8 sequence is ASCII, so bytes can be deleted, which is fast.
        raw = text.lower().encode(errors="surrogatepass").translate(None, _ASCII_PUNCTUATION)
        return _ENGLISH_ARTICLES.sub(" ", raw.decode(errors="surrogatepass"))

    return _at_once(clean, texts)


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
    """What MLQA makes of answers in `language`: lower case, without punctuation of any script
    and articles of the language, and with blanks around each Chinese character.

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

    def clean(text: str) -> str:
        bare = text.lower().translate(_PUNCTUATION)
        if articles:
            bare = articles.sub(" ", bare)
        return _HAN.sub(r" \1 ", bare) if language == "zh" else bare

    return partial(_at_once, clean)


def word_f1(predicted: list[str], gold: list[str]) -> float:
    """F1 in 0..1 of two bags of words; 0 when one is empty."""
    kinds = set(predicted)
    same = len(kinds.intersection(gold))
    if not same:
        return 0.0
    if len(kinds) < len(predicted):  # a repeated word counts as often as both have it
        same = (Counter(predicted) & Counter(gold)).total()
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def best_scores(guess: str, golds: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 in percent of a normalised text, each with the gold that suits best."""
    if guess in golds and not guess.isspace():
        # Most answers of a good model end here, without being taken apart.
        return 100.0, 100.0 if guess else 0.0
    words, gold_words = guess.split(), [gold.split() for gold in golds]
    return 100.0 * (words in gold_words), 100.0 * max([word_f1(words, gold) for gold in gold_words])


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
        self.ratios = {value: Ratio({value: 1.0}) for value in ("exact_match", "f1")}
        self.normaliser = normaliser

    def __call__(
        self, gold: Sequence[Sequence[str]], predicted: Sequence[str | None], language: str
    ) -> Scored:
        """Raises DataError when there are no items, the sides differ in length, a prediction is
        no text, an answered item has no gold answer or the language has no normalisation."""
        where = f"{self.name} ({language})"
        if not len(gold) or len(gold) != len(predicted):
            raise DataError(f"{where}: {len(predicted)} answers for {len(gold)} questions.")
        answered = [i for i, text in enumerate(predicted) if text is not None]
        for i in answered:
            if not isinstance(predicted[i], str):
                raise DataError(f"{where}: answer {i + 1} is {predicted[i]!r}, not a text.")
            if not gold[i]:
                raise DataError(f"{where}: item {i + 1} has no gold answer.")
        exact, f1 = [0.0] * len(gold), [0.0] * len(gold)
        if answered:
            normalise = self.normaliser(language)
            guesses = normalise([predicted[i] or "" for i in answered])
            normal = normalise([answer for i in answered for answer in gold[i]])
            begin = 0
            for i, guess in zip(answered, guesses, strict=True):
                end = begin + len(gold[i])
                exact[i], f1[i] = best_scores(guess, normal[begin:end])
                begin = end
        per_item = {"exact_match": np.array(exact), "f1": np.array(f1)}
        return Scored({name: float(each.mean()) for name, each in per_item.items()}, per_item)


squad = Answers("squad", lambda _language: normalise_squad)
mlqa = Answers("mlqa", mlqa_normaliser)
