"""What items say about scores and differences of models, by the gate's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xharness.records import CellRecord, Interval
from xharness.results.measurements import Key, Measurement, Units, combined, measurement, units_of
from xharness.runs.folder import RunFolder

LEVEL = 0.95
OLD = "an older version wrote the record"


class Difference(NamedTuple):
    """New - old in points, with its interval, and the one-sided p-values of "it did not drop" and
    "it did not gain". Under the null hypothesis the items of both models can be exchanged."""

    change: float
    lower: float
    upper: float
    drop_p: float
    gain_p: float

    @property
    def p(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self.drop_p, self.gain_p))


@dataclass(frozen=True)
class Evidence:
    """Per-item outcomes of models on the same cells.

    models   the measurements of each model.
    reasons  why a cell has none.
    units    of each cell's items: what is independent.
    """

    models: Sequence[Mapping[Key, Measurement]]
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
        from xharness.statistics.ratio import by_unit, influence, number

        for key in weights:
            if key in self.reasons:
                return self.reasons[key]
        cells = self.models[model]
        if [*weights.values()] == [1.0]:
            (cell,) = (cells[key] for key in weights)
            return interval(cell.terms, number(cell.cluster))
        parts = {key: by_unit(influence(cells[key].terms), *self.units[key]) for key in weights}
        score = sum(weight * cells[key].score for key, weight in weights.items())
        return interval_of_sum(score, combined(weights, parts), "unit", LEVEL, bounds)

    def difference(self, model: int, weights: Mapping[Key, float]) -> Difference | None:
        """A model's sum minus the first one's; None where a cell has no per-item outcomes."""
        import numpy as np
        from scipy.special import ndtri

        from xharness.statistics.paired import change_error, drop_p
        from xharness.statistics.ratio import by_unit, change

        if any(key in self.reasons for key in weights):
            return None
        first, other = self.models[0], self.models[model]
        parts = {
            key: by_unit(change(first[key].terms, other[key].terms), *self.units[key])
            for key in weights
        }
        whole = np.concatenate(combined(weights, parts))
        moved = float(whole.sum())
        reach = float(ndtri(0.5 + LEVEL / 2)) * change_error(whole)
        return Difference(moved, moved - reach, moved + reach, drop_p(whole), drop_p(-whole))


def read_evidence(
    models: Sequence[tuple[RunFolder, Mapping[Key, CellRecord]]], keys: Sequence[Key]
) -> Evidence:
    """Reads the per-item outcomes of cells that all models have.

    Raises DataError when a per-item file is not the one that its record names."""
    reasons = {}
    for _, records in models:
        for key in keys:
            result = records[key].result
            if result is None or result.ratio is None:
                reasons[key] = (result.no_interval if result else "") or OLD
    cells = [
        {key: measurement(run, records[key]) for key in keys if key not in reasons}
        for run, records in models
    ]
    return Evidence(cells, reasons, units_of(cells[0]) if cells[0] else {})
