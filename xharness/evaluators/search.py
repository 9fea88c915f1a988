"""Vectors of texts and exact search among them, for the two kinds that compare vectors.

The search is our own, not faiss's: faiss keeps its own copy of the vectors (1.5 GB for a
million of 384) and leaves open which of two equal candidates comes first, which decides scores
where a pool holds the same text twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xharness.errors import PluginError
from xharness.evaluators.contract import finite
from xharness.plugins.roles import Embedder

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TEXTS = 65_536  # texts of one call, so that a second copy of the vectors is never whole
SCORES = 2**23  # similarities held at a time, 32 MB
HITS = 2**14  # pairs that are scored exactly at a time
# More than rounding moves a float32 product of unit vectors of up to some thousand dimensions.
ROUNDING = 1e-5


def embed_unit(model: Embedder, texts: Sequence[str], side: str) -> Vectors:
    """Vectors (N, D) float32 of length 1, or 0 where the model's is 0.

    Raises PluginError when the model returns other than one finite vector a text.
    """
    units: Vectors | None = None
    for begin in range(0, len(texts), TEXTS):
        part = texts[begin : begin + TEXTS]
        width = None if units is None else units.shape[1]
        vectors = finite(model.embed(part, side), "embed", (len(part), width))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if units is None:
            units = np.empty((len(texts), vectors.shape[1]), np.float32)
        units[begin : begin + len(part)] = vectors / np.where(lengths, lengths, 1)
    if units is None:
        raise ValueError("there are no texts to embed")
    return units


def search(queries: Vectors, pool: Vectors, k: int) -> Ints:
    """Rows of the `k` nearest pool vectors by inner product for each query: (Q, min(k, C)).

    Best first, of equal ones the lowest row first. Float32 products only choose who may be
    among the best; these pairs are multiplied again in float64 one by one, so that equal
    vectors have equal scores wherever they lie and neither BLAS nor threads change a rank.
    Raises PluginError when queries and pool differ in width.
    """
    if queries.shape[1] != pool.shape[1]:
        raise PluginError(
            f"embed() returned vectors of width {queries.shape[1]} for queries, "
            f"but of {pool.shape[1]} for candidates."
        )
    k = min(k, len(pool))
    rows = max(k, SCORES // len(queries))
    best = np.full((len(queries), k), -np.inf)
    ids = np.zeros((len(queries), k), np.int64)
    for begin in range(0, len(pool), rows):
        rough = queries @ pool[begin : begin + rows].T
        floor = best[:, -1] if begin else np.partition(rough, -k, axis=1)[:, -k]
        query, row = np.nonzero(rough >= (floor - ROUNDING)[:, None])
        row += begin
        best, ids = _merge(best, ids, query, row, _exact(queries, pool, query, row))
    return ids


def _exact(queries: Vectors, pool: Vectors, query: Ints, row: Ints) -> npt.NDArray[np.float64]:
    """Inner products of pairs in float64, each summed in the same order."""
    scores = np.empty(len(query))
    for begin in range(0, len(query), HITS):
        part = slice(begin, begin + HITS)
        pairs = np.multiply(queries[query[part]], pool[row[part]], dtype=np.float64)
        scores[part] = pairs.sum(axis=1)
    return scores


def _merge(
    best: npt.NDArray[np.float64],
    ids: Ints,
    query: Ints,
    row: Ints,
    scores: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], Ints]:
    """The k best of what was kept, (Q, k), and of what is new."""
    count, k = best.shape
    queries = np.concatenate((np.repeat(np.arange(count), k), query))
    merged = np.concatenate((best.ravel(), scores))
    rows = np.concatenate((ids.ravel(), row))
    order = np.lexsort((rows, -merged, queries))
    starts = np.searchsorted(queries[order], np.arange(count))
    kept = order[starts[:, None] + np.arange(k)]  # (Q, k): each query has at least k entries
    return merged[kept], rows[kept]
