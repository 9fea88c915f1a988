"""The n-best spans of question windows, for all windows at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Spans(NamedTuple):
    """(N, n_best) each (fewer columns for windows of few tokens); -1 and -inf where a window has
    fewer spans."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]


def best_spans(
    starts: npt.NDArray[np.float32],
    ends: npt.NDArray[np.float32],
    context: npt.NDArray[np.bool_],
    max_context: npt.NDArray[np.bool_],
    n_best: int,
    max_length: int,
) -> Spans:
    """The best spans of each window by start logit + end logit, best first.

    starts, ends  (N, L) logits.
    context       (N, L) tokens that may be in an answer; max_context (N, L) those that may start
                  one in this window.

    Of the `n_best` best starts and the `n_best` best ends, pairs in order and at most
    `max_length` tokens long. Ties go to the earlier start, then end.
    Source: run_squad.py's compute_predictions_logits, which loops over all pairs.
    """
    width = min(n_best, starts.shape[1])
    top_starts, top_ends = _top(starts, width), _top(ends, width)
    rows = np.arange(len(starts))[:, None]
    first, last = top_starts[:, :, None], top_ends[:, None, :]  # (N, w, 1), (N, 1, w)
    score = starts[rows, top_starts][:, :, None] + ends[rows, top_ends][:, None, :]
    valid = (last >= first) & (last - first < max_length)
    valid &= (context & max_context)[rows, top_starts][:, :, None]
    valid &= context[rows, top_ends][:, None, :]
    score = np.where(valid, score, -np.inf).reshape(len(starts), -1).astype(np.float32)
    order = np.argsort(-score, axis=1, kind="stable")[:, :n_best]
    best = np.take_along_axis(score, order, axis=1)
    found = np.isfinite(best)
    chosen_starts = np.take_along_axis(top_starts, order // width, axis=1)
    chosen_ends = np.take_along_axis(top_ends, order % width, axis=1)
    return Spans(np.where(found, chosen_starts, -1), np.where(found, chosen_ends, -1), best)


def _top(logits: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.int64]:
    """(N, width) positions of the highest logits, in order of position; of equal ones the
    earlier are taken, which argpartition would not promise."""
    lowest = np.partition(logits, -width, axis=1)[:, -width, None]
    above, equal = logits > lowest, logits == lowest
    taken = above | (equal & (equal.cumsum(axis=1) <= width - above.sum(axis=1, keepdims=True)))
    return np.nonzero(taken)[1].reshape(len(logits), width)
