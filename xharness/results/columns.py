"""Models of runs, side by side: a column is a model of one seed, and a model has its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xharness.errors import Refused
from xharness.records import CellRecord
from xharness.results.measurements import Key, training_of
from xharness.runs.folder import RunFolder
from xharness.runs.leaderboard import model_key

Weights = Mapping[Key, float]  # of cells in a mean or a difference of means


@dataclass(frozen=True)
class Column:
    """A model's records; `label` is unique among the columns, `cells` are those with a result."""

    label: str
    run: RunFolder
    records: Sequence[CellRecord]

    @cached_property
    def cells(self) -> Mapping[Key, CellRecord]:
        return {Key(r.task.name, r.language.code): r for r in self.records if r.result}

    def score(self, key: Key) -> float:
        result = self.cells[key].result
        if result is None:
            raise KeyError(key)
        return result.score

    def differs_by_seed_from(self, other: Column) -> bool:
        """Whether both are one model, trained alike on the same files, of different seeds."""
        one, two = self.records[0], other.records[0]
        if one.seed == two.seed or one.model.name != two.model.name:
            return False  # soon said of most pairs
        same = [(r.model.card_sha256, r.model.backbone, r.model.dtype) for r in (one, two)]
        return same[0] == same[1] and all(
            training_of(self.cells[key]) == training_of(other.cells[key])
            for key in self.cells.keys() & other.cells.keys()
        )


@dataclass(frozen=True)
class Model:
    """Columns that differ in the seed alone; its scores are means over them."""

    label: str
    columns: Sequence[Column]

    def score(self, key: Key) -> float:
        return sum(column.score(key) for column in self.columns) / len(self.columns)

    def weighted(self, weights: Weights) -> float:
        return sum(weight * self.score(key) for key, weight in weights.items())


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
        by_model: dict[str, list[CellRecord]] = {}
        for record in run.read_results()[1]:
            by_model.setdefault(model_key(record), []).append(record)
        found += [(name, run, records) for name, records in by_model.items()]
    named = [(name, run.path) for name, run, _ in found]
    return [Column(_label(name, run.path, named), run, records) for name, run, records in found]


def models_of(columns: Sequence[Column]) -> list[Model]:
    """The models, in the order of their first columns."""
    groups: list[list[Column]] = []
    for column in columns:
        for group in groups:
            if all(column.differs_by_seed_from(other) for other in group):
                group.append(column)
                break
        else:
            groups.append([column])
    names = [group[0].records[0].model.name for group in groups]
    models = []
    for name, group in zip(names, groups, strict=True):
        label = group[0].label
        if len(group) > 1:
            if names.count(name) == 1:
                label = name
            label = f"{label.removesuffix(f'#{group[0].records[0].seed}')} ({len(group)} seeds)"
        models.append(Model(label, group))
    return models


def _label(name: str, path: Path, all_of_them: Sequence[tuple[str, Path]]) -> str:
    same = [other for n, other in all_of_them if n == name]
    if len(same) == 1:
        return name
    folders = [other.resolve().name for other in same]
    folder = path.resolve().name
    return f"{folder}:{name}" if folders.count(folder) == 1 else f"{path}:{name}"
