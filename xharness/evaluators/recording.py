"""What an evaluation writes down about its task, its data and its result."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xharness.cards import TaskCard, digest
from xharness.data.items import Dataset, FileDigest
from xharness.data.languages import LANGUAGES
from xharness.errors import PluginError, XharnessError
from xharness.plugins.roles import Metric, Outcome
from xharness.records import (
    DataRecord,
    Failure,
    File,
    Interval,
    LanguageRecord,
    Ratio,
    Result,
    TaskRecord,
)

if TYPE_CHECKING:
    import numpy.typing as npt

TRACEBACK_LINES = 12


def task_record(task: TaskCard, data: Dataset | None) -> TaskRecord:
    return TaskRecord(
        task.name,
        task.version,
        task.kind,
        digest(task),
        data.split if data else task.split,
        task.preprocessing,
        task.note,
    )


def language_record(code: str) -> LanguageRecord:
    known = LANGUAGES.get(code)
    if known is None:  # a language of somebody's own task
        return LanguageRecord(code, code, "", "")
    return LanguageRecord(code, known.name, known.family, known.script)


def data_record(source: str, data: Dataset, measured: Mapping[str, Any]) -> DataRecord:
    """`source` is the name of where the data came from, `measured` what is measured there."""
    return DataRecord(
        source=source,
        files=file_records(data.files),
        items_sha256=measured["items"],
        gold_sha256=measured["gold"],
        notes=list(data.notes),
    )


def item_keys(data: Dataset) -> dict[str, npt.NDArray[Any]]:
    """What says which items belong together: `id`, `cluster` (the item's own id where it shares
    no text) and `parallel` (empty where no other language has the item), each (N,) of text."""
    import numpy as np

    keys = {
        "id": [item.id for item in data.items],
        "cluster": [item.cluster or item.id for item in data.items],
        "parallel": [item.parallel for item in data.items],
    }
    return {name: np.array(values, dtype=np.str_) for name, values in keys.items()}


def result_record(task: TaskCard, data: Dataset, outcome: Outcome, metric: Metric) -> Result:
    """The score with its interval over the items.

    Raises PluginError when a value is not finite, or the score is not what the metric's `ratios`
    make of its arrays: the interval and all paired tests would be about something else."""
    from xharness.statistics.interval import interval
    from xharness.statistics.ratio import number, terms_of

    for name, value in outcome.values.items():
        if not math.isfinite(value):  # JSON has no such number
            raise PluginError(f"metric {task.metric!r}: its value {name!r} is {value}")
    score = sum(outcome.values[value] for value in task.score) / len(task.score)
    clusters = number(item_keys(data)["cluster"])
    ratio = _score_ratio(task.score, getattr(metric, "ratios", {}))
    found: Interval | str = f"metric {task.metric!r} does not say how its score comes from items"
    if ratio:
        terms = terms_of(ratio, outcome.per_item, len(data.items))
        if abs(terms.ratio() - score) > 1e-6:
            raise PluginError(
                f"metric {task.metric!r}: its score is {score}, but its per-item arrays give "
                f"{terms.ratio()} by its own `ratios`"
            )
        found = interval(terms, clusters)
    return Result(
        values=dict(outcome.values),
        primary=list(task.score),
        score=score,
        n_items=len(data.items),
        variants=dict(outcome.variants),
        official=list(task.official),
        n_scored=len(data.items),
        n_clusters=int(clusters.max()) + 1,
        ratio=ratio,
        interval=found if isinstance(found, Interval) else None,
        no_interval=found if isinstance(found, str) else "",
    )


def _score_ratio(values: Sequence[str], ratios: Mapping[str, Ratio]) -> Ratio | None:
    """The mean of some values as one ratio, which it is if all divide by the same."""
    parts = [ratios[value] for value in values if value in ratios]
    if len(parts) < len(values) or any(part.per != parts[0].per for part in parts):
        return None
    of: dict[str, float] = {}
    for part in parts:
        for name, weight in part.of.items():
            of[name] = of.get(name, 0.0) + weight / len(parts)
    return Ratio(of, dict(parts[0].per))


def file_records(files: Iterable[FileDigest]) -> list[File]:
    return [File(f.path, f.sha256, f.bytes, f.rows) for f in files]


def failure_record(error: Exception) -> Failure:
    """The error without the paths of this machine in its traceback; a mistake that one sentence
    explains needs none."""
    lines: list[str] = []
    if not isinstance(error, XharnessError):
        for frame in traceback.extract_tb(error.__traceback__):
            lines.append(f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}")
    return Failure(type(error).__name__, str(error), "\n".join(lines[-TRACEBACK_LINES:]))
