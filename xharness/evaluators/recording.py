"""What an evaluation writes down about its task, its data and its result."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xharness.cards import TaskCard, digest
from xharness.data.families import LANGUAGES
from xharness.data.items import Dataset, FileDigest
from xharness.errors import XharnessError
from xharness.plugins.roles import Outcome
from xharness.records import DataRecord, Failure, File, LanguageRecord, Result, TaskRecord

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
    """`source` is the name of where the data came from, `measured` what `xharness.data.measured`
    says of them."""
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


def result_record(task: TaskCard, data: Dataset, outcome: Outcome) -> Result:
    return Result(
        values=dict(outcome.values),
        primary=list(task.score),
        score=sum(outcome.values[value] for value in task.score) / len(task.score),
        n_items=len(data.items),
        variants=dict(outcome.variants),
    )


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
