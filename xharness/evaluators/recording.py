"""What an evaluation writes down about its task, its data and its result."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xharness.cards import TaskCard, digest
from xharness.data.families import LANGUAGES
from xharness.data.items import Dataset, FileDigest
from xharness.errors import XharnessError
from xharness.plugins.roles import Outcome
from xharness.records import DataRecord, Failure, File, LanguageRecord, Result, TaskRecord

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
