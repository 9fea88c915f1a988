"""Which items stand or fall together: what a resampling or a sign flip must not tear apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xharness.statistics.ratio import Ints

Labels = npt.NDArray[Any]


class Keys(NamedTuple):
    """What ties the items of one language, both (N,) of text: `cluster` within the language
    (a paragraph's questions), `parallel` across languages ("" for none)."""

    cluster: Labels
    parallel: Labels


def joint_units(languages: Sequence[Keys]) -> tuple[list[Ints], int]:
    """For each language the (N,) unit of each item, and the number of units.

    Items are in one unit when a chain of equal clusters (within a language) and equal parallel
    keys (across the languages) joins them: a paragraph's questions in all their translations.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    clusters: list[Ints] = []
    first = 0
    for keys in languages:
        codes = np.unique(keys.cluster, return_inverse=True)[1].reshape(-1) + first
        clusters.append(codes.astype(np.int64))
        first = int(codes.max()) + 1 if len(codes) else first
    ties = np.concatenate([keys.parallel for keys in languages])
    nodes = np.concatenate(clusters)
    tied = ties != ""
    codes = np.unique(ties[tied], return_inverse=True)[1].reshape(-1) + first
    size = first + (int(codes.max()) - first + 1 if len(codes) else 0)
    edges = coo_array((np.ones(len(codes), np.int8), (nodes[tied], codes)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    # Every tie hangs on a cluster, so the components are those of the clusters.
    used, units = np.unique(component[:first], return_inverse=True)
    units = units.reshape(-1)
    return [units[codes].astype(np.int64) for codes in clusters], len(used)
