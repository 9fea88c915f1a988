"""Which sentences of two corpora are translations: margin scores, greedy pairs, a threshold.

Source: Artetxe and Schwenk (2019), "Margin-based Parallel Corpus Mining with Multilingual Sentence
Embeddings", as in google-research/xtreme third_party/utils_retrieve.py.

Letters: S sources, T targets, D width, k neighbours, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Margin = Callable[[Floats, Floats], Floats]

NEIGHBOURS = 4


class Best(NamedTuple):
    """For each sentence the neighbour with the highest margin score: its row, and the score."""

    rows: Ints
    scores: Floats


class Pairs(NamedTuple):
    """(P,) rows of both sides and scores, highest first; each row occurs once."""

    sources: Ints
    targets: Ints
    scores: Floats


def ratio(cosine: Floats, around: Floats) -> Floats:
    """The margin of XTREME: the cosine over the mean cosine of the neighbourhood."""
    return cosine / around


def best_neighbours(
    sources: Floats, targets: Floats, k: int = NEIGHBOURS, margin: Margin = ratio
) -> tuple[Best, Best]:
    """Sources' best targets and targets' best sources, among the `k` nearest by cosine each.

    `sources` (S, D) and `targets` (T, D) are float32 and of unit length. A pair's margin compares
    its cosine with the mean of both sentences' mean cosines to their k nearest.
    """
    forward, to_target = _nearest(sources, targets, k)
    backward, to_source = _nearest(targets, sources, k)
    means = forward.mean(axis=1), backward.mean(axis=1)
    return (
        _best(forward, to_target, means[0], means[1], margin),
        _best(backward, to_source, means[1], means[0], margin),
    )


def mine(sources: Floats, targets: Floats, k: int = NEIGHBOURS, margin: Margin = ratio) -> Pairs:
    """Pairs with a positive score: of the best pairs of both directions always the highest one
    whose sentences are both free."""
    forward, backward = best_neighbours(sources, targets, k, margin)
    left = np.concatenate([np.arange(len(sources)), backward.rows])
    right = np.concatenate([forward.rows, np.arange(len(targets))])
    scores = np.concatenate([forward.scores, backward.scores])
    kept = []
    free_left, free_right = np.ones(len(sources), bool), np.ones(len(targets), bool)
    for i in np.argsort(-scores, kind="stable"):
        if free_left[left[i]] and free_right[right[i]]:
            free_left[left[i]] = free_right[right[i]] = False
            kept.append(i)
    chosen = np.array([i for i in kept if scores[i] > 0], np.int64)
    return Pairs(left[chosen], right[chosen], scores[chosen])


def best_threshold(scores: Floats, correct: npt.NDArray[np.bool_], n_gold: int) -> float:
    """The threshold with the best F1 on pairs whose truth is known: halfway between the score
    that it is reached at and the next one; 0, which lets all pass, when no pair is right.

    scores   (P,) from high to low.
    correct  (P,) whether the pair is among the `n_gold` gold pairs.

    Where the best F1 is reached at the last pair the official script fails for want of a next
    score; here that pair's own is taken.
    """
    if not correct.any():
        return 0.0
    n_correct = np.cumsum(correct)
    precision, recall = n_correct / np.arange(1, len(scores) + 1), n_correct / n_gold
    # The official formula, so that its rounding decides ties; 1 keeps 0 / 0 away.
    f1 = 2 * precision * recall / np.where(n_correct, precision + recall, 1)
    best = int(f1.argmax())
    return float(scores[best] + scores[min(best + 1, len(scores) - 1)]) / 2


def _nearest(sentences: Floats, others: Floats, k: int) -> tuple[Floats, Ints]:
    cosines, rows = faiss.knn(
        sentences, others, min(k, len(others)), metric=faiss.METRIC_INNER_PRODUCT
    )
    return cosines, rows


def _best(cosines: Floats, rows: Ints, own: Floats, others: Floats, margin: Margin) -> Best:
    scores = margin(cosines, (own[:, None] + others[rows]) / 2)  # (S, k)
    at = np.arange(len(rows)), scores.argmax(axis=1)
    return Best(rows[at], scores[at])
