"""Search among a million candidates: `python bench/retrieval.py`.

The size of Mewsli-X: 1,003,893 candidates and 2,000 queries with made-up unit vectors of width 384,
through the real evaluator. Prints JSON: CPU seconds of our search and of faiss's flat index alone
for the 20 nearest of the same vectors, in the same process, and their ratio; the seconds of the
whole evaluation beside the embedding; and the process's peak memory over the size of the vectors.
`--check` exits 1 over a bar, `--candidates N` tries it with fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import faiss
import numpy as np

from xharness.cards import TaskCard
from xharness.data.items import Candidate, Dataset, Query
from xharness.evaluators.ranking import CUT, RankingEvaluator
from xharness.evaluators.search import search
from xharness.metrics.ranking import MeanAveragePrecision

CANDIDATES, QUERIES, WIDTH = 1_003_893, 2_000, 384
ROUNDS = 2
# Memory: the vectors once, texts and ids of candidates, libraries. faiss's own index, which is
# made after the peak was read, would hold the vectors a second time.
BARS = {"ratio": 1.2, "peak_over_vectors": 1.6}
TASK = TaskCard(
    name="made-up", kind="ranking", description="Made-up vectors.", languages=["en"],
    metric="map@20", official=["map@20"], score=["map@20"],
)  # fmt: skip


class MadeUp:
    """A vector for each text, which is a number: normal, of length 1; a query's is near that of
    the candidate with its number. Nothing is kept."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def embed(self, texts: Sequence[str], side: str) -> Any:
        begun = time.process_time()
        vectors = np.empty((len(texts), WIDTH), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = numbers(int(text))
        if side == "query":
            noise = np.random.default_rng(0).standard_normal(vectors.shape, np.float32)
            vectors += 2 * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.seconds += time.process_time() - begun
        return vectors


BLOCK = np.random.default_rng(1).standard_normal(2**22, np.float32)


def numbers(seed: int) -> Any:
    """WIDTH normal numbers: each seed has another window of one block of them."""
    begin = seed * 1_000_003 % (len(BLOCK) - WIDTH)
    return BLOCK[begin : begin + WIDTH]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 over a bar")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="size of the pool")
    arguments = parser.parse_args()
    before = peak_bytes()
    model, evaluator = MadeUp(), RankingEvaluator()
    data = made_up(arguments.candidates)
    begun = time.process_time()
    outcome = evaluator.evaluate(model, data, TASK, MeanAveragePrecision())
    evaluated, peak = time.process_time() - begun - model.seconds, peak_bytes()
    pool = evaluator._pool_vectors(model, data.pool)
    queries = model.embed([item.text for item in data.items], "query")
    index = faiss.IndexFlatIP(WIDTH)
    index.add(pool)
    seconds = compare(
        ours=lambda: search(queries, pool, CUT), alone=lambda: index.search(queries, CUT)
    )
    figures = {
        "ratio": min(seconds["ours"]) / min(seconds["alone"]),
        "peak_over_vectors": peak / pool.nbytes,
    }
    over = [name for name, value in figures.items() if value > BARS[name]]
    report = {
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "bars": BARS,
        "over_bar": over,
        "cpu_seconds": {name: [round(s, 2) for s in rounds] for name, rounds in seconds.items()},
        "evaluate_cpu_seconds_beside_embedding": round(evaluated, 2),
        "megabytes": {
            "vectors": round(pool.nbytes / 1e6),
            "peak": round(peak / 1e6),
            "before": round(before / 1e6),
        },
        "sizes": {"candidates": len(data.pool), "queries": len(data.items), "width": WIDTH},
        "map@20": outcome.values["map@20"],
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": faiss.omp_get_max_threads(),
        "versions": {name: version(name) for name in ("numpy", "faiss-cpu")},
    }
    print(json.dumps(report, indent=2))
    return int(arguments.check and bool(over))


def made_up(candidates: int) -> Dataset:
    chance = np.random.default_rng(2)
    wanted = chance.choice(candidates, min(QUERIES, candidates), replace=False)
    items = tuple(Query(f"q{i}", str(i), (str(i),)) for i in wanted)
    pool = tuple(Candidate(str(i), str(i)) for i in range(candidates))
    return Dataset(TASK.name, "test", "en", items, pool)


def compare(**ways: Callable[[], Any]) -> dict[str, list[float]]:
    """CPU seconds of each way, the ways taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            seconds[name].append(time.process_time() - begun)
    return seconds


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
