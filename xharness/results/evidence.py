"""What items say about scores and differences of models, by the gate's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from xharness.records import CellRecord, Interval
from xharness.results.measurements import Key, Measurement, Units, combined, measurement, units_of
from xharness.runs.folder import RunFolder

if TYPE_CHECKING:
    from xharness.statistics.ratio import Floats

LEVEL = 0.95
OLD = "an older version wrote the record"


class Difference(NamedTuple):
    """New - old in points, with its interval (or why there is none), and the one-sided p-values of
    "it did not drop" and "it did not gain". Of one seed each: under the null hypothesis the items
    of both models can be exchanged. Of more: t, over items and seeds."""

    change: float
    interval: Interval | str
    drop_p: float
    gain_p: float

    @property
    def p(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self.drop_p, self.gain_p))


Sums = Sequence[Mapping[Key, float]]  # weights of cells


@dataclass(frozen=True)
class Evidence:
    """Per-item outcomes of models on the same cells.

    models   the measurements of each model, for each of its seeds.
    reasons  why a cell has none.
    units    of each cell's items: what is independent.
    """

    models: Sequence[Sequence[Mapping[Key, Measurement]]]
    reasons: Mapping[Key, str]
    units: Mapping[Key, Units]

    def interval(
        self,
        model: int,
        weights: Mapping[Key, float],
        bounds: tuple[float, float] = (0.0, 100.0),
    ) -> Interval | str:
        """The interval of a weighted sum of cells, or why there is none."""
        from xharness.statistics.interval import interval, interval_of_sum
        from xharness.statistics.ratio import number

        for key in weights:
            if key in self.reasons:
                return self.reasons[key]
        seeds = self.models[model]
        if len(seeds) == 1 and [*weights.values()] == [1.0]:
            (cell,) = (seeds[0][key] for key in weights)
            return interval(cell.terms, number(cell.cluster))
        parts = [self._influences(cells, weights) for cells in seeds]
        mean = [sum(of_task) / len(seeds) for of_task in zip(*parts, strict=True)]
        scores = self._scores(model, [weights])[:, 0]
        return interval_of_sum(float(scores.mean()), mean, "unit", LEVEL, bounds, scores)

    def differences(self, model: int, sums: Sums) -> list[Difference | None]:
        """A model's weighted sums minus the first one's; None where a cell has no per-item
        outcomes. Seeds are expected to move sums over the same tasks alike: the spread over a
        few seeds that is seen in one is held against the others'."""
        tested = self._over_items
        if len(self.models[0]) + len(self.models[model]) > 2:
            tested = self._over_both
        alike: dict[frozenset[str], list[int]] = {}
        for number, weights in enumerate(sums):
            if not any(key in self.reasons for key in weights):
                alike.setdefault(frozenset(key.task for key in weights), []).append(number)
        found: list[Difference | None] = [None] * len(sums)
        for numbers in alike.values():
            differences = tested(model, [sums[number] for number in numbers])
            for number, difference in zip(numbers, differences, strict=True):
                found[number] = difference
        return found

    def _over_items(self, model: int, sums: Sums) -> list[Difference]:
        import numpy as np

        from xharness.statistics.paired import drop_p

        found = []
        for changes in (self._changes(model, weights) for weights in sums):
            whole, interval = np.concatenate(changes), _interval_of_change(changes)
            found.append(Difference(float(whole.sum()), interval, drop_p(whole), drop_p(-whole)))
        return found

    def _over_both(self, model: int, sums: Sums) -> list[Difference]:
        import numpy as np

        from xharness.statistics.paired import change_error
        from xharness.statistics.seeds import other_seeds_and_items

        old, new = self._scores(0, sums), self._scores(model, sums)
        changes = [self._changes(model, w) for w in sums]
        items = [change_error(np.concatenate(parts)) ** 2 for parts in changes]
        noise = [self._noise(model, weights) for weights in sums]
        test = other_seeds_and_items(old, new, np.array(items), np.array(noise))
        columns = (test.change, *test.bounds(LEVEL), test.drop_p(), test.gain_p())
        found = []
        for parts, *row in zip(changes, *columns, strict=True):
            change, lower, upper, drop_p, gain_p = map(float, row)
            interval = _interval_of_change(parts)
            if isinstance(interval, Interval):  # over items alone, until here
                interval = msgspec.structs.replace(interval, lower=lower, upper=upper)
            found.append(Difference(change, interval, drop_p, gain_p))
        return found

    def _scores(self, model: int, sums: Sums) -> Floats:
        """(K, H) each seed's weighted sums."""
        import numpy as np

        return np.array(
            [
                [sum(weight * cells[key].score for key, weight in w.items()) for w in sums]
                for cells in self.models[model]
            ]
        )

    def _influences(
        self, cells: Mapping[Key, Measurement], weights: Mapping[Key, float]
    ) -> list[Floats]:
        """For each task the (U,) influences of its units on one seed's weighted sum."""
        from xharness.statistics.ratio import by_unit, influence

        parts = {key: by_unit(influence(cells[key].terms), *self.units[key]) for key in weights}
        return combined(weights, parts)

    def _changes(self, model: int, weights: Mapping[Key, float]) -> list[Floats]:
        """For each task the (U,) parts of its units in the difference to the first model; of all
        pairs of seeds the mean, so that their sum is exactly the difference of the means."""
        import numpy as np

        from xharness.statistics.ratio import by_unit, change

        pairs = [*product(self.models[0], self.models[model])]
        parts = {
            key: by_unit(
                np.mean([change(old[key].terms, new[key].terms) for old, new in pairs], axis=0),
                *self.units[key],
            )
            for key in weights
        }
        return combined(weights, parts)

    def _noise(self, model: int, weights: Mapping[Key, float]) -> float:
        """The variance that a seed's sum has because single items come out otherwise."""
        import numpy as np

        squares, freedom = 0.0, 0
        for seeds in (self.models[0], self.models[model]):
            parts = [np.concatenate(self._influences(cells, weights)) for cells in seeds]
            squares += float(np.square(parts - np.mean(parts, axis=0)).sum())
            freedom += len(seeds) - 1
        return squares / freedom


def _interval_of_change(changes: Sequence[Floats]) -> Interval | str:
    """By the rule of scores, so that neither has one where units are few."""
    from xharness.statistics.interval import interval_of_sum

    moved = sum(float(parts.sum()) for parts in changes)
    return interval_of_sum(moved, changes, "unit", LEVEL, bounds=(-inf, inf))


def read_evidence(
    models: Sequence[Sequence[tuple[RunFolder, Mapping[Key, CellRecord]]]], keys: Sequence[Key]
) -> Evidence:
    """Reads the per-item outcomes of cells that all models have, in each of their seeds.

    Raises DataError when a per-item file is not the one that its record names."""
    reasons = {}
    for _, records in chain.from_iterable(models):
        for key in keys:
            result = records[key].result
            if result is None or result.ratio is None:
                reasons[key] = (result.no_interval if result else "") or OLD
    known = [key for key in keys if key not in reasons]
    cells = [
        [{key: measurement(run, records[key]) for key in known} for run, records in seeds]
        for seeds in models
    ]
    return Evidence(cells, reasons, units_of(cells[0][0]) if known else {})
