from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.errors import PluginError
from xharness.evaluators import search as module
from xharness.evaluators.search import embed_unit, search


class Lookup:
    """Embeds a text as the vector that it spells, as in "1 0.5"."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def embed(self, texts: Sequence[str], side: str) -> Any:
        self.sizes.append(len(texts))
        return np.array([[float(number) for number in text.split()] for text in texts])


def units(rows: list[list[int]]) -> Any:
    return embed_unit(Lookup(), [" ".join(map(str, row)) for row in rows], "query")


def slow_search(queries: Any, pool: Any, k: int) -> list[list[int]]:
    """Sorts exact sums of products, then rows."""

    def key(query: Any, row: int) -> tuple[float, int]:
        products = (float(a) * float(b) for a, b in zip(query, pool[row], strict=True))
        # Sums in any order differ in the last bits; vectors of small integers don't come nearer.
        return -round(math.fsum(products), 12), row

    return [sorted(range(len(pool)), key=lambda row: key(query, row))[:k] for query in queries]


VECTOR = st.lists(st.integers(-3, 3), min_size=3, max_size=3)
VECTORS = st.lists(VECTOR, min_size=1, max_size=12)


@given(
    VECTORS, VECTORS, st.integers(1, 15), st.sampled_from([1, 20, 2**23]), st.sampled_from([0, 12])
)
def test_agrees_with_sorting_everything_whatever_the_chunks(
    queries: list[list[int]], pool: list[list[int]], k: int, scores: int, extra: int
) -> None:
    left, right = units(queries), units(pool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SCORES", scores)
        patch.setattr(module, "HITS", 3)
        patch.setattr(module, "EXTRA", extra)
        found = search(left, right, k)
    # Equal vectors tie exactly. Others that are equal in exact numbers only (1 1 1 and 2 2 2
    # after division) may differ in the last bit of float32, so scores are compared, not rows.
    expected = slow_search(left, right, k)
    exact = left.astype(float) @ right.astype(float).T
    assert found.shape == (len(queries), min(k, len(pool)))
    for query, rows in enumerate(found):
        assert len(set(rows)) == len(rows)
        assert exact[query, rows] == pytest.approx(exact[query, expected[query]], abs=1e-7)


def test_equal_vectors_come_in_the_order_of_rows_wherever_they_lie() -> None:
    random = np.random.default_rng(7)
    pool = random.standard_normal((3_000, 48)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    copies = [3, 700, 1_111, 1_999, 2_500, 2_999]
    pool[copies] = pool[3]
    found = search(pool[[3, 700]], pool, 8)
    assert found[0, : len(copies)].tolist() == copies
    assert found[1, : len(copies)].tolist() == copies


def test_a_whole_pool_of_equal_vectors_is_ranked_by_row() -> None:
    pool = np.full((500, 16), 0.25, np.float32)
    assert search(pool[:3], pool, 20).tolist() == [list(range(20))] * 3


def test_agrees_with_faiss_on_random_vectors() -> None:
    faiss = pytest.importorskip("faiss")
    random = np.random.default_rng(0)
    queries, pool = (random.standard_normal((n, 64)).astype(np.float32) for n in (50, 20_000))
    index = faiss.IndexFlatIP(64)
    index.add(pool)
    _, expected = index.search(queries, 20)
    assert search(queries, pool, 20).tolist() == expected.tolist()


def test_texts_are_embedded_in_parts_and_scaled_to_length_one() -> None:
    model = Lookup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TEXTS", 2)
        vectors = embed_unit(model, ["3 4", "0 0", "0 2"], "candidate")
    assert model.sizes == [2, 1]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0], [0, 1]]


def test_the_models_array_is_left_as_it_is() -> None:
    kept = np.array([[3.0, 4.0]], np.float32)

    class Keeps:
        def embed(self, texts: Sequence[str], side: str) -> Any:
            return kept

    embed_unit(Keeps(), ["a"], "query")
    assert kept.tolist() == [[3, 4]]


def test_queries_and_pool_of_unequal_width_are_the_models_fault() -> None:
    with pytest.raises(PluginError, match="width 2 for queries, but of 3 for candidates"):
        search(units([[1, 0]]), units([[1, 0, 0]]), 1)
