"""What a source holds of the tasks: found, missing, stripped, a stand-in, cut, or broken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xharness.cards import TaskCard
from xharness.data.sources.release import POOL
from xharness.errors import STRIPPED, AmbiguousData, DataError, MissingData
from xharness.plugins.roles import Source

TRAINING_LANGUAGE = "en"


@dataclass(frozen=True)
class Row:
    """One split of a task in one language. `state` is `ok`, `missing`, `stripped`,
    `ambiguous` or `broken`."""

    task: str
    language: str
    split: str
    state: str
    items: int
    files: tuple[str, ...]
    notes: tuple[str, ...]


def check(source: Source, tasks: Iterable[TaskCard]) -> list[Row]:
    """Reads every split that the cards name: the evaluated ones in all languages, training data in
    English. A stripped or absent split is no fault of the folder; a broken or ambiguous one is."""
    rows = []
    for task in tasks:
        for split in dict.fromkeys([*task.data, *task.hub]):
            if split == POOL:
                continue
            languages = [TRAINING_LANGUAGE] if split == "train" else task.languages
            rows += [_row(source, task, split, language) for language in languages]
    return rows


def _row(source: Source, task: TaskCard, split: str, language: str) -> Row:
    state, why = "broken", ""
    try:
        data = source.load(task, split, language)
    except MissingData as missing:
        state, why = ("stripped" if missing.reason == STRIPPED else "missing"), str(missing)
    except AmbiguousData as error:
        state, why = "ambiguous", str(error)
    except DataError as error:
        why = str(error)
    else:
        files = tuple(file.path for file in data.files)
        return Row(task.name, language, split, "ok", len(data.items), files, data.notes)
    return Row(task.name, language, split, state, 0, (), (why,))
