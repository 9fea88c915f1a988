"""Compares models, of one run or several, on the cells that measure the same thing.

A cell is compared where every model has it, in all of its seeds, and all measured the same, by the
gate's rules. The first model is the reference. Intervals and tests are over items and, where a
model has several seeds, over seeds: with one, what they say is about these weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xharness.cards import SuiteCard
from xharness.errors import NotComparable
from xharness.records import CellRecord, Interval
from xharness.results import measurements
from xharness.results.columns import Column, Model, Weights, models_of
from xharness.results.evidence import Difference, Evidence, read_evidence
from xharness.results.measurements import Key, facts_of
from xharness.results.table import GROUPINGS, Table

SOURCE_LANGUAGE = "en"
WORST = 5
ALPHA = 0.05
GROUPS: Mapping[str, Callable[[CellRecord], str]] = {
    "task": lambda record: record.task.name,
    **GROUPINGS,
}


@dataclass(frozen=True)
class Comparison:
    """What can be compared: `keys` in the suite's order.

    refused   task/language -> the first difference, for cells that several columns have.
    partial   number of cells that only some columns have.
    evidence  what items and seeds say of the models.
    """

    models: Sequence[Model]
    keys: Sequence[Key]
    refused: Mapping[str, str]
    partial: int
    evidence: Evidence

    def groups(self, by: str) -> dict[str, list[Key]]:
        """The cells by `task`, `language`, `family`, `script` or `resources`."""
        cells = self.models[0].columns[0].cells
        found: dict[str, list[Key]] = defaultdict(list)
        for key in self.keys:
            found[GROUPS[by](cells[key]) or "unknown"].append(key)
        if by == "task":
            return dict(found)
        return dict(sorted(found.items()))


def compare(columns: Sequence[Column], suite: SuiteCard) -> Comparison:
    """Finds what can be compared. Raises NotComparable, naming the first difference, when the
    columns have cells in common and none of them measured the same."""
    order = {task: i for i, task in enumerate(suite.tasks)}
    every = {key for column in columns for key in column.cells}
    keys, refused, partial = [], {}, 0
    for key in sorted(every, key=lambda k: (order.get(k[0], len(order)), k)):
        cells = [column.cells[key] for column in columns if key in column.cells]
        differences = [first_difference(cells[0], other) for other in cells[1:]]
        different = next(filter(None, differences), None)
        if different:
            refused["/".join(key)] = different
        elif len(cells) < len(columns):
            partial += 1
        else:
            keys.append(key)
    if not keys:
        named = ", ".join(column.label for column in columns)
        if refused:
            where, why = next(iter(refused.items()))
            raise NotComparable(f"will not compare {named}: {where}: {why}")
        raise NotComparable(f"will not compare {named}: they have no cell in common")
    models = models_of(columns)
    seeds = [[(column.run, column.cells) for column in model.columns] for model in models]
    return Comparison(models, keys, refused, partial, read_evidence(seeds, keys))


def first_difference(one: CellRecord, other: CellRecord) -> str | None:
    """The first thing in which two cells measured differently, or None."""
    if not (one.measured and other.measured):
        equal = one.comparable_hash == other.comparable_hash
        return None if equal else "comparable_hash, of which an older record says no more"
    found = measurements.first_difference(facts_of(one), facts_of(other))
    if found is None:
        return None
    counts = [record.result.n_items for record in (one, other) if record.result]
    before, after = counts[0], counts[-1]
    return f"{found} ({before:,} items against {after:,})" if before != after else found


def tables(comparison: Comparison) -> list[Table]:
    """All that is to be said, the most condensed first; the last holds the remarks."""
    found = [mean_table(comparison, by) for by in GROUPS]
    if len(comparison.models) > 1:
        found.insert(1, significance_table(comparison))
    found += [gap_table(comparison), worst_table(comparison)]
    found[-1] = replace(found[-1], remarks=remarks(comparison))
    return found


def over_tasks(keys: Sequence[Key]) -> dict[Key, float]:
    """The weights of the mean over tasks of the means over their languages."""
    by_task = measurements.grouped(keys, lambda key: key.task)
    return {key: 1 / len(by_task) / len(by_task[key.task]) for key in keys}


def mean_table(comparison: Comparison, by: str) -> Table:
    """Means by a name of `GROUPS`, and each model's difference to the first. A group that spans
    tasks is the mean over tasks of its means in them, so that a task with many languages counts no
    more than another."""
    groups = comparison.groups(by)
    sums = {name: over_tasks(keys) for name, keys in groups.items()}
    rows = _rows(comparison, sums, languages=by != "task")
    if by == "task":
        rows += _rows(comparison, {"mean of these tasks": over_tasks(comparison.keys)})
    return Table(f"By {by}", [by, "cells", *_heads(comparison)], rows)


def gap_table(comparison: Comparison) -> Table:
    """The transfer gap by task: English minus the mean of the other languages."""
    gaps = {}
    for task, keys in comparison.groups("task").items():
        others = [key for key in keys if key.language != SOURCE_LANGUAGE]
        source = Key(task, SOURCE_LANGUAGE)
        if source in keys and others:
            gaps[task] = {source: 1.0, **dict.fromkeys(others, -1 / len(others))}
    rows = _rows(comparison, gaps, bounds=(-100.0, 100.0))
    return Table(
        "Transfer gap: English minus the mean of the other languages",
        ["task", "cells", *_heads(comparison)],
        rows,
        [] if rows else ["no task has English and another language"],
    )


def significance_table(comparison: Comparison) -> Table:
    """Paired tests of each cell against the first model, by task: in which languages a model is
    better or worse beyond chance, and in how many at least, without saying in which."""
    rows = []
    for number, model in list(enumerate(comparison.models))[1:]:
        found = comparison.evidence.differences(number, [{key: 1.0} for key in comparison.keys])
        tested = {key: one for key, one in zip(comparison.keys, found, strict=True) if one}
        for task, keys in measurements.grouped(tested, lambda key: key.task).items():
            marked = _beyond_chance([tested[key] for key in keys], languages=True)
            marks = dict(zip(keys, marked, strict=True))
            better = [key.language for key in keys if marks[key] and tested[key].change > 0]
            worse = [key.language for key in keys if marks[key] and tested[key].change < 0]
            p = [(tested[key].gain_p, tested[key].drop_p) for key in keys]
            counts = [_at_least(side) for side in zip(*p, strict=True)]
            rows.append(
                [
                    model.label,
                    task,
                    str(len(keys)),
                    f"{len(better)}: {', '.join(better)}" if better else "0",
                    f"{len(worse)}: {', '.join(worse)}" if worse else "0",
                    *map(str, counts),
                ]
            )
    first = comparison.models[0].label
    heads = ["model", "task", "cells", "better", "worse", "better in at least", "worse in at least"]
    return Table(f"Cells that differ from {first} beyond chance", heads, rows)


def worst_table(comparison: Comparison) -> Table:
    """The languages that are furthest below their tasks' means, for each model. Tasks differ in
    how hard they are, so a language is held against the mean of each task that has it."""
    means = {
        (model.label, task): _mean(map(model.score, keys))
        for model in comparison.models
        for task, keys in comparison.groups("task").items()
    }
    rows = []
    for model in comparison.models:
        below = []
        for language, keys in comparison.groups("language").items():
            difference = _mean(model.score(k) - means[model.label, k[0]] for k in keys)
            below.append((difference, language, keys))
        for difference, language, keys in sorted(one for one in below if one[0] < 0)[:WORST]:
            name = model.columns[0].cells[keys[0]].language.name
            tasks = ", ".join(task for task, _ in keys)
            rows.append([model.label, f"{language} {name}", signed(difference), tasks])
    heads = ["model", "language", "points to the tasks' means", "tasks"]
    return Table("Languages furthest below the mean of their tasks", heads, rows)


def remarks(comparison: Comparison) -> list[str]:
    """What was left out, and why; what the groups rest on."""
    said = [f"not comparable, left out: {where}: {why}" for where, why in _first(comparison)]
    if comparison.partial:
        said.append(
            f"{comparison.partial} cells that not all models have are left out of every mean"
        )
    said.append(
        "in brackets: 95 % intervals over items, those that share a text or are parallel as one; "
        "none where independent items are too few (below 30) or all score the same"
    )
    several = [model.label for model in comparison.models if len(model.columns) > 1]
    if several:
        named = ", ".join(several)
        said.append(f"means over seeds, intervals and tests over seeds as well as items: {named}")
    if len(comparison.models) > 1:
        said.append(
            f"* differs from the first model: p < {ALPHA:g} by paired tests, corrected over the "
            "table's rows, tasks by Holm's rule, languages and their groups by Benjamini and "
            "Hochberg's, cells by theirs within a task. Models of one seed, trained anew, may "
            "differ by more"
        )
    for reason, keys in _without(comparison).items():
        shown = ", ".join(map(str, keys[:3])) + (", ..." if len(keys) > 3 else "")
        said.append(f"{len(keys)} cells without intervals and tests: {reason} ({shown})")
    said.append(
        "families and scripts of the languages were put together by us; resource classes, 0 to 5, "
        "are those of Joshi et al. 2020, from a transcription"
    )
    return said


def _first(comparison: Comparison, most: int = 5) -> list[tuple[str, str]]:
    shown = list(comparison.refused.items())[:most]
    more = len(comparison.refused) - len(shown)
    return [*shown, *([(f"and {more} more cells", "likewise")] if more else [])]


def signed(value: float) -> str:
    return f"{value:+.1f}"


def _heads(comparison: Comparison) -> list[str]:
    first, *others = (model.label for model in comparison.models)
    return [first, *(head for label in others for head in (label, f"{label} - {first}"))]


def _rows(
    comparison: Comparison,
    groups: Mapping[str, Weights],
    bounds: tuple[float, float] = (0.0, 100.0),
    languages: bool = False,
) -> list[list[str]]:
    """A row for each weighted sum: its cells, each model's value and difference to the first."""
    cells: list[list[str]] = [[] for _ in groups]
    for number, model in enumerate(comparison.models):
        for row, weights in zip(cells, groups.values(), strict=True):
            interval = comparison.evidence.interval(number, weights, bounds)
            row.append(with_interval(model.weighted(weights), interval))
        if number:
            tested = comparison.evidence.differences(number, [*groups.values()])
            marks = _beyond_chance([found for found in tested if found], languages)
            for row, weights, found in zip(cells, groups.values(), tested, strict=True):
                plain = model.weighted(weights) - comparison.models[0].weighted(weights)
                marked = found is not None and marks.pop(0)
                row.append(_difference(plain, found, marked))
    return [
        [name, str(len(weights)), *row]
        for (name, weights), row in zip(groups.items(), cells, strict=True)
    ]


def with_interval(score: float, found: Interval | str | None, digits: int = 1) -> str:
    """`61.6 [60.2, 63.0]`; the score alone where there is no interval."""
    if not isinstance(found, Interval):
        return f"{score:.{digits}f}"
    return f"{score:.{digits}f} [{found.lower:.{digits}f}, {found.upper:.{digits}f}]"


def _difference(plain: float, found: Difference | None, marked: bool) -> str:
    text, interval = signed(plain), found.interval if found else None
    if isinstance(interval, Interval):
        text += f" [{interval.lower:+.1f}, {interval.upper:+.1f}]"
    return text + (" *" if marked else "")


def _beyond_chance(found: Sequence[Difference], languages: bool) -> list[bool]:
    """Which differences are significant, corrected for their number: any wrong one is to be rare
    among tasks, among languages their share is to be small."""
    import numpy as np

    from xharness.statistics.multiple import benjamini_hochberg, holm

    adjusted = benjamini_hochberg if languages else holm
    return [bool(p < ALPHA) for p in adjusted(np.array([one.p for one in found]))]


def _at_least(p: Sequence[float]) -> int:
    import numpy as np

    from xharness.statistics.multiple import at_least

    return at_least(np.array(p), ALPHA)


def _without(comparison: Comparison) -> dict[str, list[Key]]:
    """Cells that have no per-item outcomes, by the reason."""
    reasons = comparison.evidence.reasons
    return measurements.grouped(reasons, lambda key: reasons[key])


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
