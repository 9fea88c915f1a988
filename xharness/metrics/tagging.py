"""Chunk F1 of tag sequences by the rules of seqeval, vectorised.

Two sets of rules are in use and give different scores on part-of-speech tags (70.217 against
70.398 on the official mock files), because they read a tag's type differently:

    reference  seqeval 0.0.12 to 0.0.17, which the official test expects: the part after the last
               hyphen. `NOUN` is letter N, type `NOUN`.
    1.2.2      seqeval 0.0.18 and later, what a fresh install gives: what follows the first
               hyphen of the tag without its first letter, `_` when nothing does. `CCONJ` and
               `SCONJ` share the type `CONJ`; `X` has the type of `O`.

All else is common: the sentences are joined with an `O` after each, and a tag's first letter
(B, I, E, S, O, `.` or another) and type decide where a chunk ends and begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from xharness.errors import DataError
from xharness.plugins.roles import Scored
from xharness.records import Ratio

Tags = Sequence[Sequence[str]]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LETTERS = "O.BIES"  # the first letters that mean something
VARIANTS = {
    "f1": "seqeval 0.0.12",
    "precision": "seqeval 0.0.12",
    "recall": "seqeval 0.0.12",
    "f1_seqeval_1.2.2": "seqeval 1.2.2",
}


def reference_type(tag: str) -> str:
    """The type that seqeval 0.0.12 reads from `tag`."""
    return tag.rsplit("-", 1)[-1]


def newer_type(tag: str) -> str:
    """The type that seqeval 1.2.2 reads from `tag`."""
    return tag[1:].split("-", 1)[-1] or "_"


@dataclass(frozen=True)
class Chunks:
    """The chunks of one side, dense over the P positions of the joined sentences.

    ends    (P,) bool, a chunk's last position.
    begins  (P,) where a chunk that ends here began.
    types   (P,) code of the type at the position.
    """

    ends: Bools
    begins: Ints
    types: Ints


def join(gold: Tags, predicted: Tags) -> tuple[list[str], Ints, Ints]:
    """The distinct tags, and both sides as codes (P,): indices into the tags, 0 being `O`.

    P counts words and one `O` after each sentence; the shorter side is filled up with `O`.
    Raises DataError when a tag is an empty string.
    """
    codes: defaultdict[str, int] = defaultdict(count().__next__)
    codes["O"] = 0
    codes.default_factory = count(1).__next__
    sides = [_join_side(sentences, codes) for sentences in (gold, predicted)]
    if "" in codes:
        raise DataError("A tag is empty; every word needs one, 'O' where nothing is marked.")
    size = max(map(len, sides))
    left, right = (np.pad(side, (0, size - len(side))) for side in sides)
    return list(codes), left, right


def _join_side(sentences: Tags, codes: defaultdict[str, int]) -> Ints:
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    words = int(lengths.sum())
    joined = np.zeros(words + len(lengths), np.int64)
    # A word moves right by the number of sentences before it, which leaves the O's in between.
    places = np.arange(words) + np.repeat(np.arange(len(lengths)), lengths)
    flat = chain.from_iterable(sentences)
    joined[places] = np.fromiter(map(codes.__getitem__, flat), np.int64, words)
    return joined


def type_codes(tags: Sequence[str], type_of: Callable[[str], str]) -> Ints:
    """(K,) the number of each tag's type, by first appearance: equal arrays, equal chunks."""
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    return np.array([numbers[type_of(tag)] for tag in tags])


def find_chunks(codes: Ints, tags: Sequence[str], type_of_tag: Ints) -> Chunks:
    """The chunks in joined sentences by the rules that all seqeval versions share."""
    letters = np.array([LETTERS.find(tag[0]) for tag in tags], np.int8)[codes]
    types = type_of_tag[codes]

    # One row of flags for each letter that a position has, and that the one before it has.
    is_o, is_dot, is_b, is_i, is_e, is_s = (letters == n for n in range(len(LETTERS)))
    after_o, after_dot, after_b, after_i, after_e, after_s = (
        np.concatenate(([before], flags[:-1]))[: len(codes)]
        for before, flags in zip(
            (True, False, False, False, False, False),
            (is_o, is_dot, is_b, is_i, is_e, is_s),
            strict=True,
        )
    )
    changes = np.ones(len(codes), bool)  # the first position differs from what is before it
    changes[1:] = types[1:] != types[:-1]

    closed = after_e | after_s | ((after_b | after_i) & (is_b | is_s | is_o))
    closed |= ~after_o & ~after_dot & changes
    opened = is_b | is_s | ((after_e | after_s | after_o) & (is_e | is_i))
    opened |= ~is_o & ~is_dot & changes

    ends = np.zeros(len(codes), bool)
    ends[:-1] = closed[1:]
    # A chunk begins where one was opened last, even when another has ended since then.
    begins = np.maximum.accumulate(np.where(opened, np.arange(len(codes)), 0))
    return Chunks(ends, begins, types)


def compare(
    gold: Ints, predicted: Ints, tags: Sequence[str], type_of_tag: Ints
) -> tuple[Bools, Bools, Bools]:
    """Where chunks end: those that are right, the predicted and the gold ones, each (P,) bool.

    A chunk is right when type, first and last position agree."""
    there = find_chunks(gold, tags, type_of_tag)
    found = find_chunks(predicted, tags, type_of_tag)
    same = (there.begins == found.begins) & (there.types == found.types)
    return there.ends & found.ends & same, found.ends, there.ends


def span_scores(right: Bools, found: Bools, there: Bools) -> tuple[float, float, float]:
    """F1, precision and recall in percent; 0 where nothing was found or nothing is there."""
    hits, predicted, gold = (int(np.count_nonzero(flags)) for flags in (right, found, there))
    precision = 100.0 * hits / predicted if predicted else 0.0
    recall = 100.0 * hits / gold if gold else 0.0
    both = precision + recall
    return (2 * precision * recall / both if both else 0.0), precision, recall


class SeqEval:
    """Micro F1, precision and recall over chunks, in percent.

    `gold` and `predicted` hold the tags of each sentence, equally many on both sides.
    Values: {"f1", "precision", "recall"} by the reference rules, {"f1_seqeval_1.2.2"} and
    {"token_accuracy"}, the share of words with the right tag. Per item, (N,) int64: the chunks
    that are right {"tp"}, {"predicted"} and {"gold"} by the reference rules, and the words
    that are right {"correct_tokens"} of {"tokens"}. A chunk counts in the sentence it ends in.

    Sources: seqeval 0.0.12 and 1.2.2; `f1` in google-research/xtreme evaluate.py. The older
    seqeval also scores sentences whose lengths differ, comparing what happens to stand at the
    same place; here they are refused.
    """

    name = "seqeval"
    ratios: ClassVar = {
        "f1": Ratio({"tp": 200.0}, {"predicted": 1.0, "gold": 1.0}),
        "precision": Ratio({"tp": 100.0}, {"predicted": 1.0}),
        "recall": Ratio({"tp": 100.0}, {"gold": 1.0}),
        "token_accuracy": Ratio({"correct_tokens": 100.0}, {"tokens": 1.0}),
    }

    def __call__(self, gold: Tags, predicted: Tags, language: str) -> Scored:
        """Raises DataError when there are no words, sentences or words are not equally many on
        both sides, or a tag is empty."""
        check_lengths(gold, predicted, language)
        tags, gold_codes, predicted_codes = join(gold, predicted)
        sizes = np.fromiter(map(len, gold), np.int64, len(gold))
        bounds = np.concatenate(([0], np.cumsum(sizes + 1)))

        def by_sentence(flags: Bools) -> Ints:
            sums = np.concatenate(([0], np.cumsum(flags)))
            return np.asarray(np.diff(sums[bounds]))

        types, newer_types = type_codes(tags, reference_type), type_codes(tags, newer_type)
        right, found, there = compare(gold_codes, predicted_codes, tags, types)
        newer = right, found, there
        if not np.array_equal(types, newer_types):
            newer = compare(gold_codes, predicted_codes, tags, newer_types)
        per_item = {
            "tp": by_sentence(right),
            "predicted": by_sentence(found),
            "gold": by_sentence(there),
        }
        # The O's in between always agree and are no words.
        per_item["correct_tokens"] = by_sentence(gold_codes == predicted_codes) - 1
        per_item["tokens"] = sizes
        f1, precision, recall = span_scores(right, found, there)
        values = {
            "f1": f1,
            "precision": precision,
            "recall": recall,
            "f1_seqeval_1.2.2": span_scores(*newer)[0],
            "token_accuracy": 100.0 * float(per_item["correct_tokens"].sum() / sizes.sum()),
        }
        return Scored(values, per_item, VARIANTS)


def check_lengths(gold: Tags, predicted: Tags, language: str) -> None:
    """Raises DataError, naming the first sentence, unless both sides have the same words."""
    if not any(map(len, gold)):
        raise DataError(f"seqeval ({language}): no words, so there is no score.")
    if len(gold) != len(predicted):
        raise DataError(
            f"seqeval ({language}): {len(predicted)} predicted sentences for {len(gold)} gold ones."
        )
    sizes = zip(map(len, gold), map(len, predicted), strict=True)
    for number, (words, found) in enumerate(sizes, start=1):
        if words != found:
            raise DataError(
                f"seqeval ({language}): sentence {number} has {words} words, "
                f"but {found} predicted tags."
            )
