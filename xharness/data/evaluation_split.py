"""Which split of a task is evaluated, and which one stands in for it."""

from __future__ import annotations

from dataclasses import replace

from xharness.cards import TaskCard
from xharness.data.items import Dataset
from xharness.errors import STRIPPED, MissingData
from xharness.plugins.roles import Source


def load_for_evaluation(
    source: Source, task: TaskCard, language: str, split: str | None = None
) -> Dataset:
    """The split that was asked for, else the card's; where that is absent or stripped, the
    card's fallback with a note that says so. With it come the items to tune on, where the card
    names a split for that.

    Raises MissingData when neither is there, or nothing to tune on."""
    data = _load(source, task, language, split)
    if task.tune_on is None:
        return data
    if data.split == task.tune_on:
        note = f"tuned on the split that is scored, {data.split}, so the score is too good"
        return replace(data, notes=(*data.notes, note))
    tuning: Dataset = source.load(task, task.tune_on, language)
    notes = (f"tuned on {task.tune_on}: {note}" for note in tuning.notes)
    return replace(
        data,
        tuning=tuning,
        files=(*data.files, *tuning.files),
        notes=(*data.notes, *notes),
    )


def _load(source: Source, task: TaskCard, language: str, split: str | None) -> Dataset:
    if split is not None:
        data: Dataset = source.load(task, split, language)
        if split != task.split:
            data = replace(data, notes=(f"split {split} instead of {task.split}", *data.notes))
        return data
    try:
        return source.load(task, task.split, language)  # type: ignore[no-any-return]
    except MissingData as missing:
        if task.fallback is None:
            raise
        why = "stripped" if missing.reason == STRIPPED else "absent"
        try:
            data = source.load(task, task.fallback, language)
        except MissingData:
            raise missing from None
        note = f"split {task.fallback} stands in for {task.split}, which is {why}"
        return replace(data, notes=(note, *data.notes))
