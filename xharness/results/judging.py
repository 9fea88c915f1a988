"""The gate's statistics: hypotheses on four levels, and what is known about each.

Holm's correction holds within a level, and each level has its share of alpha: one wrong alarm in a
run is what is kept rare, not the share of wrong ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np

from xharness.results.measurements import Key, combined, grouped
from xharness.results.policy import GatePolicy
from xharness.results.verdict import Judgement, Level, Mode
from xharness.statistics.multiple import benjamini_hochberg, holm
from xharness.statistics.paired import change_error, drop_p
from xharness.statistics.ratio import Floats
from xharness.statistics.seeds import known_deviation, moderated_t, within_variance

LEVELS: Sequence[Level] = ("suite", "task", "language", "cell")
ONE_SIDED = 0.95  # confidence of the bounds that tolerances are held against
POWER = 0.8  # at which the detectable drop is given
MARKED = 0.05  # share of wrong marks among the cells marked as drifted
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Hypothesis:
    """A score that may have dropped: the mean of cells with these weights."""

    level: Level
    name: str
    weights: Mapping[Key, float]


class CellChange(NamedTuple):
    """A cell before and after. `parts` (U,) are those of its task's units in the change, `changed`
    whether any item came out otherwise."""

    old: float
    new: float
    parts: Floats
    changed: bool


def hypotheses_of(suite: str, keys: Sequence[Key]) -> list[Hypothesis]:
    """The suite's mean over its tasks, each task's over its languages, each language's over the
    tasks that have it, and every cell."""
    by_task, by_language = grouped(keys, lambda k: k.task), grouped(keys, lambda k: k.language)
    whole = {key: 1 / len(by_task) / len(by_task[key.task]) for key in keys}
    found = [Hypothesis("suite", suite, whole)]
    found += [Hypothesis("task", name, _evenly(own)) for name, own in by_task.items()]
    found += [Hypothesis("language", name, _evenly(own)) for name, own in by_language.items()]
    return found + [Hypothesis("cell", str(key), {key: 1.0}) for key in keys]


def judge_items(
    hypotheses: Sequence[Hypothesis],
    cells: Mapping[Key, CellChange],
    policy: GatePolicy,
    alpha: float,
) -> list[Judgement]:
    """Judgements where the weights are the same, item by item; `alpha` is that of one level.

    A score regressed when it dropped by more than the floor beyond chance."""
    from scipy.special import ndtri

    found: list[Judgement] = []
    changes = {key: cell.parts for key, cell in cells.items()}
    for level in LEVELS:
        members = [h for h in hypotheses if h.level == level]
        parts = [np.concatenate(combined(h.weights, changes)) for h in members]
        drops = holm(np.array([drop_p(part, policy.floor) for part in parts]))
        gains = holm(np.array([drop_p(-part, policy.floor) for part in parts]))
        marks = _marks(level, [drop_p(part) for part in parts])
        reach = float(ndtri(1 - alpha / len(members)) + ndtri(POWER))
        for i, h in enumerate(members):
            error = change_error(parts[i])
            one = _Evidence(
                old=sum(w * cells[key].old for key, w in h.weights.items()),
                new=sum(w * cells[key].new for key, w in h.weights.items()),
                error=error,
                width=float(ndtri(ONE_SIDED)) * error,
                p=float(drops[i]),
                detectable=policy.floor + reach * error,
                drifted=marks[i],
            )
            identical = not any(cells[key].changed for key in h.weights)
            dropped, gained = drops[i] <= alpha, gains[i] <= alpha
            found.append(_judgement(h, "same weights", one, policy, identical, dropped, gained))
    return found


def judge_seeds(
    hypotheses: Sequence[Hypothesis],
    columns: Sequence[Key],
    old: Floats,
    new: Floats,
    noise: Floats,
    policy: GatePolicy,
    alpha: float,
) -> list[Judgement]:
    """Judgements where the model was retrained, from (K0, C) and (K1, C) scores of seeds and the
    (C,) variance that single items give to one seed's score.

    A score regressed when its mean over seeds dropped beyond what seeds do, and by the floor at
    least. With fewer than three seeds in all, and no declared deviation, nothing is known."""
    from scipy.special import stdtrit

    seeds = len(old) + len(new)
    judged = seeds >= FEWEST_SEEDS or policy.seed_sd is not None
    found: list[Judgement] = []
    for level in LEVELS:
        members = [h for h in hypotheses if h.level == level]
        mixing = _mixing(members, columns)
        sides = old @ mixing.T, new @ mixing.T
        means = [side.mean(axis=0) for side in sides]
        if not judged:
            why = f"{seeds} seeds in all don't tell how much seeds move a score"
            found += [
                _judgement(h, "retrained", _Evidence(float(a), float(b)), policy, reason=why)
                for h, a, b in zip(members, *means, strict=True)
            ]
            continue
        if policy.seed_sd is not None:
            test = known_deviation(*sides, np.full(len(members), policy.seed_sd))
        else:
            test = moderated_t(*sides, _prior(level, members, columns, old, new, noise))
        drops, gains = holm(test.drop_p()), holm(test.gain_p())
        marks = _marks(level, test.drop_p())
        for i, h in enumerate(members):
            error, freedom = float(test.error[i]), min(float(test.degrees[i]), 1e9)
            reach = float(stdtrit(freedom, 1 - alpha / len(members)) + stdtrit(freedom, POWER))
            one = _Evidence(
                old=float(means[0][i]),
                new=float(means[1][i]),
                error=error,
                width=float(stdtrit(freedom, ONE_SIDED)) * error,
                p=float(drops[i]),
                detectable=max(policy.floor, reach * error),
                drifted=marks[i],
            )
            moved = float(test.change[i])
            dropped = drops[i] <= alpha and -moved >= policy.floor
            gained = gains[i] <= alpha and moved >= policy.floor
            found.append(_judgement(h, "retrained", one, policy, False, dropped, gained))
    return found


class _Evidence(NamedTuple):
    """What was found out about a hypothesis; `width` is the way from the change to its bounds."""

    old: float
    new: float
    error: float = inf
    width: float = inf
    p: float = 1.0
    detectable: float = inf
    drifted: bool = False


def _judgement(
    hypothesis: Hypothesis,
    mode: Mode,
    one: _Evidence,
    policy: GatePolicy,
    identical: bool = False,
    dropped: bool = False,
    gained: bool = False,
    reason: str = "",
) -> Judgement:
    level, moved = hypothesis.level, one.new - one.old
    # Not over seeds, whose spread is known too badly for a limit on any of 200 cells.
    broken = level == "cell" and mode == "same weights" and -moved >= policy.hard_limit
    # Without this condition the smallest cells break any limit now and then.
    broken = broken and -moved > policy.hard_limit_errors * one.error
    verdict: Any = "inconclusive"
    for name, holds in (
        ("identical", identical),
        ("regressed", dropped or broken),
        ("improved", gained),
        ("held", moved - one.width > -getattr(policy.tolerance, level)),
    ):
        if holds:
            verdict = name
            break
    if broken and not dropped:
        reason = f"hard limit of {policy.hard_limit:g} points"
    known = one.error < inf
    return Judgement(
        level=level,
        name=hypothesis.name,
        mode=mode,
        verdict=verdict,
        old=one.old,
        new=one.new,
        change=moved,
        error=one.error if known else None,
        lower=moved - one.width if known else None,
        upper=moved + one.width if known else None,
        p=one.p if known else None,
        detectable=one.detectable if known else None,
        drifted=one.drifted,
        reason=reason,
    )


def _evenly(keys: Sequence[Key]) -> dict[Key, float]:
    return dict.fromkeys(keys, 1 / len(keys))


def _marks(level: Level, p: Sequence[float] | Floats) -> list[bool]:
    marked = benjamini_hochberg(np.asarray(p)) <= MARKED
    return [level == "cell" and bool(mark) for mark in marked]


def _mixing(members: Sequence[Hypothesis], columns: Sequence[Key]) -> Floats:
    """(H, C) the weight of each cell in each hypothesis."""
    return np.array([[h.weights.get(key, 0.0) for key in columns] for h in members])


def _prior(
    level: Level,
    members: Sequence[Hypothesis],
    columns: Sequence[Key],
    old: Floats,
    new: Floats,
    noise: Floats,
) -> Floats:
    """(H,) the variance over seeds that is expected of a score: what its items give it, and what
    it shares with its like (cells of one task, tasks, languages). Without the first, cells of 50
    and of 10,000 items would be expected to move alike. The suite's is what independently trained
    tasks would give it."""
    if level == "suite":
        tasks = [h for h in hypotheses_of("", columns) if h.level == "task"]
        return np.array([_prior("task", tasks, columns, old, new, noise).mean() / len(tasks)])
    mixing = _mixing(members, columns)
    items = np.square(mixing) @ noise
    beyond = within_variance(old @ mixing.T, new @ mixing.T) - items
    families = np.array([next(iter(h.weights)).task if level == "cell" else "" for h in members])
    prior = np.full(len(members), np.nan)
    for family in set(families):
        own = families == family
        if own.sum() > 1:
            prior[own] = items[own] + max(0.0, float(beyond[own].mean()))
    return prior
