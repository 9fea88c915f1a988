"""The items that models fail on, with their texts where the data are at hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xharness.cards import TaskCard
from xharness.data.evaluation_split import load_for_evaluation
from xharness.data.items import Dataset
from xharness.data.measured import items_sha256
from xharness.errors import DataError, MissingData
from xharness.plugins.roles import Source
from xharness.results.columns import Column
from xharness.results.measurements import Key
from xharness.results.table import Table

if TYPE_CHECKING:
    import numpy.typing as npt

ITEMS = 3  # of each task and model
LONGEST = 240  # characters of a text
NOT_TEXT = {"id", "cluster", "parallel"}


def worst_items_table(
    columns: Sequence[Column], tasks: Mapping[str, TaskCard], source: Source
) -> Table:
    """For each model and task the first items with the lowest score in its lowest language.

    Cells whose items are not those of `source` are left out, and a remark says so."""
    rows, remarks = [], []
    for column in columns:
        lowest: dict[str, tuple[float, str]] = {}
        for (task, language), record in column.cells.items():
            if record.result and task in tasks:
                found = (record.result.score, language)
                lowest[task] = min(lowest.get(task, found), found)
        for task, (_, language) in lowest.items():
            try:
                rows += _rows(column, tasks[task], language, source)
            except (MissingData, DataError) as error:
                remarks.append(f"{column.label}: no items of {task}/{language}: {error}")
    heads = ["model", "task", "language", "item", "points", "texts", "gold", "predicted"]
    return Table("Items that are missed, in each task's lowest language", heads, rows, remarks)


def _rows(column: Column, task: TaskCard, language: str, source: Source) -> list[list[str]]:
    record = column.cells[Key(task.name, language)]
    data = load_for_evaluation(source, task, language, record.task.split)
    if record.data is None or items_sha256(_cut(data, record.limit)) != record.data.items_sha256:
        raise DataError("they are not the items of the data at hand")
    points = item_points(column.run.read_items(record), task)
    path = column.run.path / column.run.submission_name(record, task.submission)
    predicted = _predictions(path.read_text("utf-8"), [item.id for item in data.items])
    order = sorted(range(len(points)), key=lambda i: (points[i], i))[:ITEMS]
    return [
        [
            column.label,
            task.name,
            language,
            data.items[i].id,
            f"{points[i]:.0f}",
            *_texts(data.items[i]),
            _short(predicted[i] if predicted else "-"),
        ]
        for i in order
    ]


def item_points(arrays: Mapping[str, npt.NDArray[Any]], task: TaskCard) -> list[float]:
    """The score of each item in percent: the mean of the arrays that the task's score is made
    of, else the share of right answers, else the F1 of an item's own chunks (100 where there
    are none and none were found). Raises DataError when there is none of these."""
    import numpy as np

    named = [arrays[value] for value in task.score if value in arrays]
    if named:
        return [float(value) for value in np.mean(named, axis=0)]
    if "correct" in arrays:
        return [100.0 * bool(value) for value in arrays["correct"]]
    if {"tp", "predicted", "gold"} <= arrays.keys():
        both = arrays["predicted"] + arrays["gold"]
        return [200.0 * tp / n if n else 100.0 for tp, n in zip(arrays["tp"], both, strict=True)]
    raise DataError(f"{task.name}: the items have no scores of their own")


def _cut(data: Dataset, limit: int | None) -> Dataset:
    return dataclasses.replace(data, items=data.items[:limit])


def _texts(item: Any) -> tuple[str, str]:
    """An item's texts, and its gold."""
    fields = {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
    gold = next(fields.pop(k) for k in ("label", "tags", "answers", "targets") if k in fields)
    texts = [_plain(value) for name, value in fields.items() if name not in NOT_TEXT]
    return _short(" | ".join(text for text in texts if text)), _short(_plain(gold))


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(str(getattr(part, "text", part)) for part in value)
    return str(value)


def _predictions(text: str, ids: Sequence[str]) -> list[str]:
    """What a prediction file says of each item, or nothing where it is of another form."""
    if text.startswith("{") and text.rstrip().endswith("}") and "\n{" not in text:
        by_id = json.loads(text)
        return [_plain(by_id.get(id, "-")) for id in ids]
    blocks = [" ".join(block.split()) for block in text.removesuffix("\n").split("\n\n")]
    lines = text.removesuffix("\n").split("\n")
    return next((parts for parts in (lines, blocks) if len(parts) == len(ids)), [])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
