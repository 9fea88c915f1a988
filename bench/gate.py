"""How often the gate fails, when it should and when not: `python bench/gate.py`.

Simulates all cells of XTREME-R at their published sizes, before and after a change, and lets the
gate's own functions judge them. Prints JSON; `--check` exits 1 where alarms are more, or power is
less, than the bar by more than three errors of the simulation.

Same weights: an item's margins before and after are bivariate normal, so correlated that the given
share of outcomes changes; parallel items share half of margin and change over the languages,
questions a fifth within a paragraph; answers and rankings have partial credit; what a sentence's
tags have in common makes some sentences hard throughout. Retrained: seeds move tasks, languages and
cells by 0.4, 0.2 and 0.5 points (standard deviations that are assumed, not measured), and an eighth
of the items besides. A drop lowers the true mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.results.judging import LEVELS, CellChange, hypotheses_of, judge_items, judge_seeds
from xharness.results.measurements import Key
from xharness.results.policy import GatePolicy
from xharness.runs.leaderboard import suite_languages
from xharness.statistics.ratio import Terms, by_unit, change

Floats = npt.NDArray[np.float64]
ACCURACY = 0.75
PARAGRAPH = 5  # questions
# Margins below zero that earn some points, and how many: an answer with half of the words has an F1
# of 50 and no exact match.
PARTIAL = {"span": (0.5, 25.0), "ranking": (0.4, 50.0)}
WORDS = {"chunks": 12, "entities": 1.5}  # in a sentence, on average
SEED_SD = {"task": 0.4, "language": 0.2, "cell": 0.5}
SEED_CHURN = 0.12
# (drop in points, where, churn in percent, the least or, for alarms, the most that may fail)
SAME: list[tuple[float, str, float, str, float]] = [
    (0.0, "everywhere", 1, "most", 0.0),
    (0.0, "everywhere", 4, "most", 0.5),
    (0.05, "everywhere", 1, "most", 0.0),
    (0.1, "everywhere", 1, "most", 5.0),
    (0.1, "everywhere", 4, "most", 5.0),
    (0.5, "everywhere", 4, "least", 100.0),
    (0.5, "language ar", 1, "least", 100.0),
    (0.5, "language ar", 4, "least", 51.0),
    (1.0, "language ar", 4, "least", 100.0),
    (0.5, "language sw", 1, "least", 23.0),
    (1.0, "language sw", 4, "least", 45.0),
    (2.0, "language sw", 4, "least", 100.0),
    (0.5, "kind classification", 4, "least", 90.0),
    (1.0, "kind choice", 4, "least", 37.0),
    (2.0, "kind choice", 4, "least", 100.0),
    (1.0, "kind classification in sw", 1, "least", 97.0),
    (1.0, "kind classification in sw", 4, "least", 29.0),
    (2.0, "kind classification in sw", 4, "least", 100.0),
]
# (seeds before, seeds after, drop, where, ...)
RETRAINED: list[tuple[int, int, float, str, str, float]] = [
    (2, 1, 0.0, "everywhere", "most", 1.5),
    (3, 1, 1.0, "everywhere", "least", 60.0),
    (5, 1, 1.0, "everywhere", "least", 96.0),
    (5, 3, 0.0, "everywhere", "most", 3.3),
    (5, 3, 0.5, "everywhere", "least", 89.0),
    (5, 3, 1.0, "kind classification", "least", 27.0),
    (5, 3, 2.0, "kind classification", "least", 97.0),
    (5, 3, 2.0, "language ar", "least", 85.0),
    (5, 5, 1.0, "kind classification", "least", 49.0),
]


@dataclass(frozen=True)
class Task:
    name: str
    kind: str
    sizes: dict[str, int]
    parallel: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--check", action="store_true", help="exit 1 past a bar")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tasks, suite = suite_tasks("xtreme-r")
    keys = [Key(task.name, language) for task in tasks for language in task.sizes]
    hypotheses, policy = hypotheses_of(suite, keys), GatePolicy()
    generator = np.random.default_rng(options.seed)
    started = time.perf_counter()
    report: dict[str, Any] = {"cells": len(keys), "simulations": options.simulations}
    missed = []

    def row(name: str, fails: Callable[[], bool], bar: str, limit: float) -> None:
        share = 100 * sum(fails() for _ in range(options.simulations)) / options.simulations
        error = 100 * np.sqrt(max(limit / 100, 0.005) * max(1 - limit / 100, 0.005))
        slack = 3 * error / np.sqrt(options.simulations)
        good = share <= limit + slack if bar == "most" else share >= limit - slack
        report[name] = {"fails_percent": round(share, 1), f"at_{bar}": limit, "good": bool(good)}
        print(name, report[name], file=sys.stderr, flush=True)
        if not good:
            missed.append(name)

    for drop, where, churn, bar, limit in SAME:

        def fails(drop: float = drop, where: str = where, churn: float = churn) -> bool:
            cells = {
                Key(task.name, language): cell
                for task in tasks
                for language, cell in simulate(task, churn / 100, drop, where, generator).items()
            }
            judged = judge_items(hypotheses, cells, policy, policy.alpha / len(LEVELS))
            return any(j.verdict == "regressed" for j in judged)

        row(f"same weights, -{drop:g} {where}, churn {churn:g} %", fails, bar, limit)
    kinds = {task.name: task for task in tasks}
    for before, after, drop, where, bar, limit in RETRAINED:

        def fails_seeds(
            before: int = before, after: int = after, drop: float = drop, where: str = where
        ) -> bool:
            old, new = (seed_scores(k, keys, kinds, generator) for k in (before, after))
            new -= [drop * hit(kinds[key.task], key.language, where) for key in keys]
            alpha = policy.alpha / len(LEVELS)
            judged = judge_seeds(hypotheses, keys, old, new, noise(keys, kinds), policy, alpha)
            return any(j.verdict == "regressed" for j in judged)

        row(f"{before}+{after} seeds, -{drop:g} {where}", fails_seeds, bar, limit)
    report["seconds"] = round(time.perf_counter() - started)
    print(json.dumps(report, indent=2))
    if options.check and missed:
        sys.exit(f"past the bar: {'; '.join(missed)}")


def suite_tasks(name: str) -> tuple[list[Task], str]:
    """The suite's tasks with the sizes that their cards give; one size means parallel items."""
    catalogue = Catalogue.load(open_registry().card_folders())
    suite = catalogue.suite(name)
    found = []
    for task in (catalogue.tasks[name] for name in suite.tasks):
        sizes = task.sizes[task.split]
        languages = suite_languages(suite, task)
        if isinstance(sizes, int):
            found.append(Task(task.name, task.kind, dict.fromkeys(languages, sizes), True))
        else:
            found.append(Task(task.name, task.kind, {la: sizes[la] for la in languages}, False))
    return found, name


def hit(task: Task, language: str, where: str) -> bool:
    """Whether a drop `where` ("everywhere", "language ar", "kind K", "kind K in sw") is here."""
    words = where.split()
    kind = words[1] if words[0] == "kind" else task.kind
    code = words[-1] if words[0] == "language" or "in" in words else language
    return (kind, code) == (task.kind, language)


def simulate(
    task: Task, churn: float, drop: float, where: str, generator: np.random.Generator
) -> dict[str, CellChange]:
    """The cells of a task before and after."""

    def normal(size: int) -> Floats:
        return generator.standard_normal(size, dtype=np.float32).astype(np.float64)

    largest = max(task.sizes.values())
    shared = (normal(largest), normal(largest)) if task.parallel else None
    cluster = PARAGRAPH if task.kind == "span" else 1
    found = {}
    first = 0
    units = -(-largest // cluster) if task.parallel else sum(
        -(-size // cluster) for size in task.sizes.values()
    )  # fmt: skip
    for language, size in task.sizes.items():
        owners = np.arange(size) // cluster
        numbers = owners if task.parallel else owners + first
        first += 0 if task.parallel else int(owners[-1]) + 1
        counts = np.ones(size, np.int64)
        if task.kind == "tagging":
            mean = WORDS["chunks"] if largest > 20_000 else WORDS["entities"]
            counts = 1 + generator.poisson(mean - 1 if mean > 1 else 0, size)
        rows = np.repeat(np.arange(size), counts)
        margins = []
        for i in (0, 1):
            own = normal(len(rows))
            if shared is not None:
                own = np.sqrt(0.5) * (own + shared[i][:size])
            elif task.kind == "tagging":
                frailty = (generator.gamma(4, 0.25, size) - 1) / 0.5  # mean 0, deviation 1
                own = np.sqrt(0.8) * own + np.sqrt(0.2) * frailty[rows]
            if cluster > 1:
                own = np.sqrt(0.8) * own + np.sqrt(0.2) * normal(int(owners[-1]) + 1)[owners]
            margins.append(own)
        lower = margin_lost(task.kind, drop * hit(task, language, where))
        rho = correlation(task.kind, churn)
        old = margins[0] + ndtri(ACCURACY)
        new = rho * margins[0] + np.sqrt(1 - rho * rho) * margins[1] + ndtri(ACCURACY) - lower
        terms = [_terms(credit(task.kind, side), rows, size) for side in (old, new)]
        parts = by_unit(change(*terms), numbers, units)
        found[language] = CellChange(
            terms[0].ratio(), terms[1].ratio(), parts, bool((terms[0][0] != terms[1][0]).any())
        )
    return found


def _terms(scores: Floats, rows: npt.NDArray[np.int64], size: int) -> Terms:
    return Terms(
        np.bincount(rows, weights=scores, minlength=size).astype(np.float64),
        np.bincount(rows, minlength=size).astype(np.float64),
    )


def credit(kind: str, margins: Floats) -> Floats:
    """Points of items: whole, none, and for answers and rankings what lies between."""
    width, points = PARTIAL.get(kind, (0.0, 0.0))
    return np.where(margins > 0, 100.0, np.where(margins > -width, points, 0.0))


@cache
def margin_lost(kind: str, drop: float) -> float:
    """What all margins must lose for the true mean score to drop by that many points."""
    width, points = PARTIAL.get(kind, (0.0, 0.0))

    def lost(shift: float) -> float:
        at = ndtri(ACCURACY) - np.array([0.0, shift])
        before, after = (100 - points) * ndtr(at) + points * ndtr(at + width)
        return float(before - after)

    return float(brentq(lambda shift: lost(shift) - drop, -1e-9, 1.0))


@cache
def correlation(kind: str, churn: float) -> float:
    """Of old and new margins, so that this share of outcomes changes (of words, where sentences
    are tagged)."""
    one, other = np.random.default_rng(0).standard_normal((2, 1_000_000))
    bound = float(ndtri(ACCURACY))
    old = credit(kind, one + bound)
    low, high = 0.0, 1.0
    for _ in range(30):
        rho = (low + high) / 2
        changed = (old != credit(kind, rho * one + np.sqrt(1 - rho**2) * other + bound)).mean()
        low, high = (rho, high) if changed > churn else (low, rho)
    return rho


def noise(keys: list[Key], tasks: dict[str, Task]) -> Floats:
    """(C,) the variance of a score that its items give it, when some come out otherwise."""
    sizes = np.array([tasks[key.task].sizes[key.language] for key in keys])
    return 1e4 * SEED_CHURN / (2 * sizes)


def seed_scores(
    count: int, keys: list[Key], tasks: dict[str, Task], generator: np.random.Generator
) -> Floats:
    """(K, C) scores of retrained models around 75 points."""
    scores = np.full((count, len(keys)), 100 * ACCURACY)
    names = sorted(tasks)
    languages = sorted({key.language for key in keys})
    by_task = generator.normal(0, SEED_SD["task"], (count, len(names)))
    by_language = generator.normal(0, SEED_SD["language"], (count, len(languages)))
    deviation = np.sqrt(SEED_SD["cell"] ** 2 + noise(keys, tasks))
    scores += by_task[:, [names.index(key.task) for key in keys]]
    scores += by_language[:, [languages.index(key.language) for key in keys]]
    return np.asarray(scores + generator.normal(0, deviation, scores.shape))


if __name__ == "__main__":
    main()
