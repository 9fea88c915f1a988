"""Vectors of texts and exact search among them, for the two kinds that compare vectors.

faiss finds the nearest, in float32. It leaves open which of two equal candidates comes first,
which decides scores where a pool holds the same text twice; so some more than asked for are
fetched and ranked here exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

from xharness.errors import PluginError
from xharness.evaluators.contract import finite
from xharness.plugins.roles import Embedder

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TEXTS = 65_536  # texts of one call, so that a second copy of the vectors is never whole
EXTRA = 12  # candidates that are fetched beyond those asked for
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
    Memory beside the vectors: O(Q k), and 32 MB.
    Raises PluginError when queries and pool differ in width.
    """
    if queries.shape[1] != pool.shape[1]:
        raise PluginError(
            f"embed() returned vectors of width {queries.shape[1]} for queries, "
            f"but of {pool.shape[1]} for candidates."
        )
    k = min(k, len(pool))
    fetched = min(k + EXTRA, len(pool))
    rough, rows = faiss.knn(queries, pool, fetched, metric=faiss.METRIC_INNER_PRODUCT)
    scores = _exact(queries, pool, np.repeat(np.arange(len(queries)), fetched), rows.ravel())
    scores = scores.reshape(rows.shape)
    order = np.lexsort((rows, -scores))[:, :k]
    nearest: Ints = np.take_along_axis(rows, order, axis=1)
    if fetched < len(pool):
        # What was not fetched is at most as near as the last fetched, but for rounding.
        worst = np.take_along_axis(scores, order[:, -1:], axis=1)[:, 0]
        undecided = np.flatnonzero(worst <= rough[:, -1] + ROUNDING)
        at_once = max(1, SCORES // len(pool))
        for begin in range(0, len(undecided), at_once):
            part = undecided[begin : begin + at_once]
            nearest[part] = _scan(queries[part], pool, k)
    return nearest


def _scan(queries: Vectors, pool: Vectors, k: int) -> Ints:
    """As `search`, with all similarities in memory: whoever is near enough is ranked exactly."""
    rough = queries @ pool.T
    floor = np.partition(rough, -k, axis=1)[:, -k]
    query, row = np.nonzero(rough >= (floor - ROUNDING)[:, None])
    order = np.lexsort((row, -_exact(queries, pool, query, row), query))
    starts = np.searchsorted(query, np.arange(len(queries)))
    nearest: Ints = row[order[starts[:, None] + np.arange(k)]]
    return nearest


def _exact(queries: Vectors, pool: Vectors, query: Ints, row: Ints) -> npt.NDArray[np.float64]:
    """Inner products of pairs in float64, each summed in the same order."""
    scores = np.empty(len(query))
    for begin in range(0, len(query), HITS):
        part = slice(begin, begin + HITS)
        pairs = np.multiply(queries[query[part]], pool[row[part]], dtype=np.float64)
        scores[part] = pairs.sum(axis=1)
    return scores
