from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xharness.inference.nbest import best_spans


def by_loop(
    starts: Any, ends: Any, context: Any, widest: Any, n_best: int, longest: int
) -> list[tuple[int, int, float]]:
    """One window, pair by pair, as run_squad.py walks them."""

    def best(logits: Any) -> list[int]:
        ranked = sorted(enumerate(logits), key=lambda pair: pair[1], reverse=True)
        return [position for position, _ in ranked[:n_best]]

    found = []
    for start in best(starts):
        for end in best(ends):
            if not context[start] or not context[end] or not widest[start]:
                continue
            if start <= end < start + longest:
                found.append((start, end, float(starts[start] + ends[end])))
    found.sort(key=lambda span: (-span[2], span[0], span[1]))
    return found[:n_best]


@st.composite
def windows(draw: st.DrawFn) -> tuple[Any, ...]:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 12)))
    # Few distinct values, so that there are ties at the edge of the best.
    logits = arrays(np.float32, shape, elements=st.integers(-2, 2).map(float))
    flags = arrays(bool, shape)
    return (
        draw(logits),
        draw(logits),
        draw(flags),
        draw(flags),
        draw(st.integers(1, 6)),
        draw(st.integers(1, 5)),
    )


@given(windows())
@settings(max_examples=300, deadline=None)
def test_spans_are_those_of_the_loop_over_all_pairs(case: tuple[Any, ...]) -> None:
    starts, ends, context, widest, n_best, longest = case
    spans = best_spans(*case)
    for row in range(len(starts)):
        expected = by_loop(starts[row], ends[row], context[row], widest[row], n_best, longest)
        got = [*zip(spans.start[row], spans.end[row], spans.score[row], strict=True)]
        assert got[: len(expected)] == expected
        assert all(span == (-1, -1, -np.inf) for span in got[len(expected) :])


def test_random_logits_of_official_size_give_the_spans_of_the_loop() -> None:
    chance = np.random.default_rng(0)
    starts, ends = chance.standard_normal((2, 20, 384)).astype(np.float32)
    context = np.zeros((20, 384), bool)
    context[:, 12:-1] = True
    widest = context & (chance.random((20, 384)) < 0.7)
    spans = best_spans(starts, ends, context, widest, 20, 30)
    for row in range(20):
        expected = by_loop(starts[row], ends[row], context[row], widest[row], 20, 30)
        assert spans.start[row, : len(expected)].tolist() == [s for s, _, _ in expected]
        assert spans.end[row, : len(expected)].tolist() == [e for _, e, _ in expected]


def test_logits_of_padding_are_never_chosen() -> None:
    starts = np.array([[-np.inf, 1.0, -np.inf]], np.float32)
    everywhere = np.ones((1, 3), bool)
    spans = best_spans(starts, starts, everywhere, everywhere, 4, 5)
    assert spans.start[0].tolist() == [1, -1, -1, -1]
    assert spans.score[0].tolist() == [2.0, *[-np.inf] * 3]
