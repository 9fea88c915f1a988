"""From items that a reader gave to the dataset of a split: what holds whatever the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from xharness.cards import TaskCard
from xharness.data.items import Candidate, Choice, Dataset, FileDigest, Item
from xharness.errors import STRIPPED, DataError, MissingData

# The official preparation sets every label of a test set to the first; so many equal labels
# don't happen by themselves.
EQUAL_LABELS = 10


def assemble(
    task: TaskCard,
    split: str,
    language: str,
    items: Sequence[Item],
    pool: Sequence[Candidate],
    files: Sequence[FileDigest],
    notes: Sequence[str],
    place: str,
) -> Dataset:
    """The dataset; `place` says in complaints where the items come from.

    Raises MissingData when all labels are stripped, DataError when some are or an id of an
    evaluated item stands twice."""
    where = f"{task.name} {split} {language}"
    _check_labels(f"{where} in {place}", items)
    if split == "train":
        items = _with_own_ids(items)
    else:
        _check_ids(where, items)
    published = published_size(task, split, language)
    if published and len(items) < published:
        notes = [*notes, f"cut: {len(items):,} of {published:,} items"]
    return Dataset(
        task.name, split, language, tuple(items), tuple(pool), tuple(files), tuple(notes)
    )


def published_size(task: TaskCard, split: str, language: str) -> int | None:
    """The number of items that the card says were published, or None."""
    size = task.sizes.get(split)
    return size.get(language) if isinstance(size, dict) else size


def _check_ids(where: str, items: Iterable[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(f"{where}: the id {item.id!r} stands twice")
        seen.add(item.id)


def _with_own_ids(items: Iterable[Item]) -> list[Item]:
    """Training ids repeat (the prepared TyDiQA has 66 for 1,500 questions); ours don't."""
    seen: set[str] = set()
    own = []
    for number, item in enumerate(items):
        own.append(replace(item, id=f"{item.id}#{number}") if item.id in seen else item)
        seen.add(item.id)
    return own


def _check_labels(where: str, items: Iterable[Item]) -> None:
    items = list(items)
    bare = [item for item in items if not item.labelled]
    if len(bare) == len(items):
        raise MissingData(f"{where}: the labels are stripped", STRIPPED)
    if bare:
        raise DataError(
            f"{where}: {len(bare)} of {len(items)} items have no label, the first is "
            f"{bare[0].id!r}; all must have one or none"
        )
    labels = {item.label for item in items if isinstance(item, Choice)}
    if len(items) >= EQUAL_LABELS and len(labels) == 1:
        raise MissingData(
            f"{where}: the labels are stripped: all {len(items)} are {labels.pop()}, as the "
            "official preparation leaves them",
            STRIPPED,
        )
