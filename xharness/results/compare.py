"""Compares models, of one run or several, on the cells that measure the same thing.

A column is a model with its seed. A cell is compared where every column has it and all measured
the same: equal `comparable_hash`. The first column is the reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from xharness.cards import SuiteCard
from xharness.errors import DataError, NotComparable, Refused
from xharness.records import CellRecord
from xharness.results.table import GROUPINGS, Table
from xharness.runs.folder import RunFolder
from xharness.runs.leaderboard import model_key

SOURCE_LANGUAGE = "en"
WORST = 5
GROUPS: Mapping[str, Callable[[CellRecord], str]] = {
    "task": lambda record: record.task.name,
    **GROUPINGS,
}
Cells = Mapping[tuple[str, str], CellRecord]  # by task and language


@dataclass(frozen=True)
class Column:
    """A model's records; `label` is unique among the columns, `cells` are those with a result."""

    label: str
    run: RunFolder
    records: Sequence[CellRecord]

    @cached_property
    def cells(self) -> Cells:
        return {(r.task.name, r.language.code): r for r in self.records if r.result}

    def score(self, key: tuple[str, str]) -> float:
        result = self.cells[key].result
        if result is None:
            raise KeyError(key)
        return result.score

    def mean_over_tasks(self, keys: Iterable[tuple[str, str]]) -> float:
        """The mean over tasks of the means over their languages."""
        by_task: dict[str, list[float]] = defaultdict(list)
        for key in keys:
            by_task[key[0]].append(self.score(key))
        return _mean(map(_mean, by_task.values()))


@dataclass(frozen=True)
class Comparison:
    """What can be compared: `keys` are (task, language), in the suite's order.

    refused  task/language -> the first difference, for cells that several columns have.
    partial  number of cells that only some columns have.
    """

    columns: Sequence[Column]
    keys: Sequence[tuple[str, str]]
    refused: Mapping[str, str]
    partial: int

    def groups(self, by: str) -> dict[str, list[tuple[str, str]]]:
        """The cells by `task`, `language`, `family` or `script`."""
        cells = self.columns[0].cells
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for key in self.keys:
            found[GROUPS[by](cells[key]) or "unknown"].append(key)
        if by == "task":
            return dict(found)
        return dict(sorted(found.items()))


def columns_of(runs: Sequence[RunFolder]) -> list[Column]:
    """A column for each model and seed of each run.

    Two runs may have a model of the same name: then the folder's name, or its whole path, tells
    them apart. Raises Refused when a run is named twice, DataError when one is
    empty.
    """
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise Refused(f"the run {path} is named twice; a run agrees with itself")
    found: list[tuple[str, RunFolder, list[CellRecord]]] = []
    for run in runs:
        run.read_run()
        by_model: dict[str, list[CellRecord]] = {}
        for record in run.records():
            by_model.setdefault(model_key(record), []).append(record)
        if not by_model:
            raise DataError(f"{run.path} has no cell records: nothing was run there yet")
        found += [(name, run, records) for name, records in by_model.items()]
    named = [(name, run.path) for name, run, _ in found]
    return [Column(_label(name, run.path, named), run, records) for name, run, records in found]


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
    return Comparison(columns, keys, refused, partial)


def first_difference(one: CellRecord, other: CellRecord) -> str | None:
    """The first thing in which two cells measured differently, or None.

    Equal hashes mean equal measurements; the fields below say why they are not."""
    if one.comparable_hash == other.comparable_hash:
        return None
    for what, left, right in _facts(one, other):
        if left != right:
            return f"{what} {_short(left)} against {_short(right)}"
    return "the metric, the labels or the version of what was measured differ"


def _facts(one: CellRecord, other: CellRecord) -> Iterable[tuple[str, Any, Any]]:
    yield "task version", one.task.version, other.task.version
    yield "split", one.task.split, other.task.split
    for field in msgspec.structs.fields(type(one.task.preprocessing)):
        left, right = (getattr(r.task.preprocessing, field.name) for r in (one, other))
        yield f"preprocessing {field.name}", left, right
    if one.data and other.data and one.result and other.result:
        yield "values that make the score", one.result.primary, other.result.primary
        yield "number of items", one.result.n_items, other.result.n_items
        yield "items_sha256", one.data.items_sha256, other.data.items_sha256
        yield "gold_sha256", one.data.gold_sha256, other.data.gold_sha256


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:8]}..." if len(text) == 64 else text


def tables(comparison: Comparison) -> list[Table]:
    """All that is to be said, the most condensed first; the last holds the remarks."""
    found = [mean_table(comparison, by) for by in GROUPS]
    found += [gap_table(comparison), worst_table(comparison)]
    found[-1] = replace(found[-1], remarks=remarks(comparison))
    return found


def mean_table(comparison: Comparison, by: str) -> Table:
    """Means by `task`, `language`, `family` or `script`, and each column's difference to the
    first. A group that spans tasks is the mean over tasks of its means in them, so that a task
    with many languages counts no more than another."""
    rows = []
    for group, keys in comparison.groups(by).items():
        scores = [column.mean_over_tasks(keys) for column in comparison.columns]
        rows.append([group, str(len(keys)), *_with_differences(scores)])
    if by == "task":
        scores = [column.mean_over_tasks(comparison.keys) for column in comparison.columns]
        whole = str(len(comparison.keys))
        rows.append(["mean of these tasks", whole, *_with_differences(scores)])
    return Table(f"By {by}", [by, "cells", *_heads(comparison)], rows)


def gap_table(comparison: Comparison) -> Table:
    """The transfer gap by task: English minus the mean of the other languages."""
    rows = []
    for task, keys in comparison.groups("task").items():
        others = [key for key in keys if key[1] != SOURCE_LANGUAGE]
        if (task, SOURCE_LANGUAGE) not in keys or not others:
            continue
        gaps = [
            column.score((task, SOURCE_LANGUAGE)) - _mean(map(column.score, others))
            for column in comparison.columns
        ]
        rows.append([task, str(len(others)), *_with_differences(gaps)])
    return Table(
        "Transfer gap: English minus the mean of the other languages",
        ["task", "others", *_heads(comparison)],
        rows,
        [] if rows else ["no task has English and another language"],
    )


def worst_table(comparison: Comparison) -> Table:
    """The languages that are furthest below their tasks' means, for each column. Tasks differ in
    how hard they are, so a language is held against the mean of each task that has it."""
    means = {
        (column.label, task): _mean(map(column.score, keys))
        for column in comparison.columns
        for task, keys in comparison.groups("task").items()
    }
    rows = []
    for column in comparison.columns:
        below = []
        for language, keys in comparison.groups("language").items():
            difference = _mean(column.score(k) - means[column.label, k[0]] for k in keys)
            below.append((difference, language, keys))
        for difference, language, keys in sorted(below)[:WORST]:
            name = column.cells[keys[0]].language.name
            tasks = ", ".join(task for task, _ in keys)
            rows.append([column.label, f"{language} {name}", signed(difference), tasks])
    heads = ["model", "language", "points to the tasks' means", "tasks"]
    return Table("Languages furthest below the mean of their tasks", heads, rows)


def remarks(comparison: Comparison) -> list[str]:
    """What was left out, and why; what the groups rest on."""
    said = [f"not comparable, left out: {where}: {why}" for where, why in _first(comparison)]
    if comparison.partial:
        said.append(
            f"{comparison.partial} cells that not all models have are left out of every mean"
        )
    if len(comparison.columns) > 1:
        said.append("differences are plain ones: none was tested for significance")
    said.append(
        "families and scripts of the languages were put together by us; resource classes are left "
        "out, since no assignment of them was verified"
    )
    return said


def _first(comparison: Comparison, most: int = 5) -> list[tuple[str, str]]:
    shown = list(comparison.refused.items())[:most]
    more = len(comparison.refused) - len(shown)
    return [*shown, *([(f"and {more} more cells", "likewise")] if more else [])]


def signed(value: float) -> str:
    return f"{value:+.1f}"


def _heads(comparison: Comparison) -> list[str]:
    first, *others = (column.label for column in comparison.columns)
    return [first, *(head for label in others for head in (label, f"{label} - {first}"))]


def _with_differences(scores: Sequence[float]) -> list[str]:
    first, *others = scores
    return [f"{first:.1f}", *(t for s in others for t in (f"{s:.1f}", signed(s - first)))]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _label(name: str, path: Path, all_of_them: Sequence[tuple[str, Path]]) -> str:
    same = [other for n, other in all_of_them if n == name]
    if len(same) == 1:
        return name
    folders = [other.resolve().name for other in same]
    folder = path.resolve().name
    return f"{folder}:{name}" if folders.count(folder) == 1 else f"{path}:{name}"
