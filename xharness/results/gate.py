"""The drift gate: did a run get worse than its baseline, beyond chance and beyond a floor?

Two cases, told apart by the weights that the records name. Same weights: what changed is code,
library or hardware, and outcomes are compared item by item (sign flips, one sign for items that
belong together, in all languages). Retrained: seeds move scores, and means over seeds are compared
by a moderated t-test; the conclusion is about this test set. A run that holds tasks of both cases
is judged in two parts, and alpha is split between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xharness.errors import NotComparable, NothingSelected
from xharness.results.baseline import read_baseline
from xharness.results.judging import (
    FEWEST_SEEDS,
    LEVELS,
    CellChange,
    hypotheses_of,
    judge_items,
    judge_seeds,
)
from xharness.results.measurements import (
    Key,
    Measurement,
    Side,
    first_difference,
    grouped,
    read_side,
    units_of,
)
from xharness.results.policy import GatePolicy
from xharness.results.verdict import (
    ABSENT,
    GATE_SCHEMA,
    BadCell,
    ItemChange,
    Judgement,
    TaskChange,
    Verdict,
)
from xharness.runs.folder import RunFolder
from xharness.statistics.ratio import Floats, Terms, by_unit, change

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_ITEMS = 10  # named for each task

Pairs = Sequence[tuple[Measurement, Measurement]]
Cells = Mapping[Key, Pairs]  # old and new measurements that are held against each other


def gate(baseline_path: Path, run_path: Path, policy: GatePolicy) -> Verdict:
    """Judges the cells that both have.

    Raises DataError for files that are not what they should be, NothingSelected (exit code 5) when
    no cell is in common or can be judged, NotComparable (exit code 4), with the first difference,
    when something else was measured or the run was not asked for some cells, unless
    `allow_missing`.
    """
    baseline, old = read_baseline(baseline_path)
    new = read_side([RunFolder(run_path)], baseline.model)
    missing = missing_cells(old, new)
    shared = [key for key in old.cells if key in new.cells]
    _check_coverage(shared, missing, policy)
    for key in shared:
        _check_comparable(key, old.cells[key], new.cells[key])
    same, retrained = split(old, new, shared)
    judgements = judge(baseline.suite, same, retrained, policy)
    failing = [cell for cell in missing if cell.status == "failed" or not policy.allow_missing]
    if not judgements and not failing:
        raise NothingSelected(
            "nothing can be judged: no cell of the baseline has a score in all seeds of the run"
        )
    verdict: Any = "passed"
    if failing or any(j.verdict == "regressed" for j in judgements):
        verdict = "failed"
    elif any(j.level == "suite" and j.verdict == "inconclusive" for j in judgements):
        verdict = "inconclusive"
    elif all(j.verdict == "identical" for j in judgements):
        verdict = "identical"
    fails = verdict == "failed" or (verdict == "inconclusive" and policy.inconclusive == "fail")
    judged = {*same, *retrained}
    return Verdict(
        schema=GATE_SCHEMA,
        verdict=verdict,
        exit_code=int(fails),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        baseline=str(baseline_path),
        baseline_sha256=hashlib.sha256(baseline_path.read_bytes()).hexdigest(),
        run=str(run_path),
        model=baseline.model,
        seeds={"baseline": old.seeds, "run": new.seeds},
        policy=policy,
        judgements=judgements,
        tasks=_changes({**same, **retrained}),
        missing=missing,
        unjudged=[str(key) for key in new.cells if key not in judged],
        notes=_notes(old, new, same, retrained, policy),
    )


def judge(suite: str, same: Cells, retrained: Cells, policy: GatePolicy) -> list[Judgement]:
    """Judgements of all levels, by level."""
    parts = bool(same) + bool(retrained)
    found: list[Judgement] = []
    alpha = policy.alpha / len(LEVELS) / max(1, parts)
    if same:
        hypotheses = hypotheses_of(suite, list(same))
        found += judge_items(hypotheses, item_changes(same), policy, alpha)
    if retrained:
        hypotheses = hypotheses_of(suite, list(retrained))
        sides, noise = seed_scores(retrained)
        found += judge_seeds(hypotheses, list(retrained), *sides, noise, policy, alpha)
    return sorted(found, key=lambda judgement: LEVELS.index(judgement.level))


def missing_cells(baseline: Side, run: Side) -> list[BadCell]:
    """The baseline's cells that the run lacks, for each seed that the run has at all."""
    seeds = sorted({*run.seeds, *(seed for _, seed in run.bad)})
    found = []
    for key in baseline.cells:
        for seed in seeds:
            if seed in run.cells.get(key, {}):
                continue
            name = f"{key}#{seed}" if len(seeds) > 1 else str(key)
            record = run.bad.get((key, seed))
            if record is None:
                found.append(BadCell(name, ABSENT, "the run has no record of it"))
                continue
            why = record.reason or (record.failure.message if record.failure else "")
            found.append(BadCell(name, record.status, why))
    return found


def split(baseline: Side, run: Side, shared: Iterable[Key]) -> tuple[Cells, Cells]:
    """The cells by case: pairs of equal weights; all pairs of an old and a new seed, for cells that
    have all of the run's seeds. A task is of one case with all its languages."""
    same: dict[Key, Pairs] = {}
    retrained: dict[Key, Pairs] = {}
    for keys in grouped(shared, lambda key: key.task).values():
        pairs = {key: _same_weights(baseline.cells[key], run.cells[key]) for key in keys}
        if all(len(pairs[key]) == len(run.cells[key]) for key in keys):
            same |= pairs
            continue
        for key in keys:
            new = run.cells[key]
            if len(new) == len(run.seeds):
                old = baseline.cells[key].values()
                retrained[key] = [(o, n) for o in old for n in new.values()]
    return same, retrained


def item_changes(cells: Cells) -> dict[Key, CellChange]:
    """What changed in each cell, by the units of its task, averaged over the pairs."""
    units = units_of({key: pairs[0][0] for key, pairs in cells.items()})
    found: dict[Key, CellChange] = {}
    for key, pairs in cells.items():
        parts = [by_unit(change(o.terms, n.terms), *units[key]) for o, n in pairs]
        old, new = ([cell.score for cell in side] for side in zip(*pairs, strict=True))
        found[key] = CellChange(
            float(np.mean(old)),
            float(np.mean(new)),
            np.mean(parts, axis=0),
            any(bool(_changed(*pair).any()) for pair in pairs),
        )
    return found


def _check_coverage(shared: Sequence[Key], missing: Sequence[BadCell], policy: GatePolicy) -> None:
    absent = [cell for cell in missing if cell.status == ABSENT]
    if not shared and len(absent) == len(missing):
        raise NothingSelected("the run and the baseline have no cell in common")
    if absent and not policy.allow_missing:
        count = f", and {len(absent):,} cells of the baseline in all" if len(absent) > 1 else ""
        raise NotComparable(
            f"the run lacks {absent[0].cell}{count}; run what is missing, or judge the rest with "
            "--allow-missing"
        )


def _check_comparable(
    key: Key, old: Mapping[int, Measurement], new: Mapping[int, Measurement]
) -> None:
    reference = next(iter(old.values()))
    for cell in new.values():
        different = first_difference(reference.facts, cell.facts)
        if different is None:
            continue
        before, after = len(reference.ids), len(cell.ids)
        counts = f" ({before:,} items against {after:,})" if before != after else ""
        raise NotComparable(
            f"will not judge {key}: {different}{counts}, baseline against run. Where that is "
            "meant, make a new baseline: xharness baseline create RUN -o FILE --reason WHY"
        )


def _same_weights(old: Mapping[int, Measurement], new: Mapping[int, Measurement]) -> Pairs:
    found = []
    for seed, cell in new.items():
        ordered = sorted(old, key=lambda other: other != seed)  # its own seed first
        equal = [old[s] for s in ordered if cell.weights and old[s].weights == cell.weights]
        found += [(other, cell) for other in equal[:1]]
    return found


def seed_scores(cells: Cells) -> tuple[tuple[Floats, Floats], Floats]:
    """(K0, C) and (K1, C) scores, and the (C,) variance that items give to one of them; all cells
    have the same seeds."""
    columns = [_sides(pairs) for pairs in cells.values()]
    old, new = (np.array([[cell.score for cell in c[i]] for c in columns]).T for i in (0, 1))
    return (old, new), np.array([_item_variance(sides) for sides in columns])


def _item_variance(sides: Iterable[Sequence[Measurement]]) -> float:
    """Half the variance of the change between two seeds of a side, were items independent."""
    squares = [
        float(np.square(change(one.terms, other.terms)).sum()) / 2
        for side in sides
        for one, other in combinations(side, 2)
    ]
    return sum(squares) / len(squares) if squares else 0.0


def _sides(pairs: Pairs) -> tuple[list[Measurement], list[Measurement]]:
    """The distinct measurements of both sides."""
    old, new = ({id(cell): cell for cell in side} for side in zip(*pairs, strict=True))
    return list(old.values()), list(new.values())


def _changed(old: Measurement, new: Measurement) -> npt.NDArray[np.bool_]:
    above = old.terms.numerator != new.terms.numerator
    return np.asarray(above | (old.terms.denominator != new.terms.denominator))


def _changes(cells: Cells) -> dict[str, TaskChange]:
    found = {}
    for task, keys in grouped(cells, lambda key: key.task).items():
        pairs = [pair for key in keys for pair in cells[key]]
        moved = [item for key in keys for item in _moved(key, cells[key])]
        found[task] = TaskChange(
            100.0 * float(np.concatenate([_changed(*pair) for pair in pairs]).mean()),
            100.0 * float(np.concatenate([o.answers != n.answers for o, n in pairs]).mean()),
            sorted(moved, key=lambda item: -abs(item.points))[:MOST_ITEMS],
        )
    return found


def _moved(key: Key, pairs: Pairs) -> list[ItemChange]:
    """The items of a cell whose mean outcome changed most."""
    old, new = (_mean_terms([cell.terms for cell in side]) for side in _sides(pairs))
    parts, ids = change(old, new), pairs[0][0].ids
    scores = [np.divide(t[0], t[1], out=np.zeros(len(ids)), where=t[1] > 0) for t in (old, new)]
    most = np.argsort(-np.abs(parts), kind="stable")[:MOST_ITEMS]
    return [
        ItemChange(
            key.language, str(ids[i]), float(scores[0][i]), float(scores[1][i]), float(parts[i])
        )
        for i in most
        if parts[i]
    ]


def _mean_terms(terms: Sequence[Terms]) -> Terms:
    return Terms(*(np.mean(side, axis=0) for side in zip(*terms, strict=True)))


def _notes(old: Side, new: Side, same: Cells, retrained: Cells, policy: GatePolicy) -> list[str]:
    found = []
    if retrained:
        seeds = len(old.seeds) + len(new.seeds)
        if policy.seed_sd is not None:
            found.append(
                f"a standard deviation of {policy.seed_sd:g} points over seeds is declared"
            )
        elif seeds < FEWEST_SEEDS:
            found.append(
                f"the weights differ and {seeds} seeds in all don't tell how much seeds move a "
                "score: have three at least, or declare --seed-sd"
            )
        else:
            found.append("retrained: a conclusion about seeds, on this test set")
    if same and retrained:
        for how, cells in (("item by item", same), ("over seeds", retrained)):
            tasks = ", ".join(dict.fromkeys(key.task for key in cells))
            found.append(f"judged {how}, with half of alpha: {tasks}")
    if any((o.weights or "").startswith("unnamed") for pairs in same.values() for o, _ in pairs):
        found.append("the records name no weights: they are taken to be the same on both sides")
    for name in sorted({*old.versions, *new.versions}):
        before, after = old.versions.get(name), new.versions.get(name)
        if before != after:
            found.append(f"{name} {after or 'unknown'}, the baseline has {before or 'unknown'}")
    return found
