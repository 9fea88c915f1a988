"""What every evaluator demands of data and of what a model returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from xharness.data.files import DataFile
from xharness.data.items import Dataset, Item
from xharness.errors import DataError, PluginError

Answer = TypeVar("Answer")
ItemType = TypeVar("ItemType", bound=Item)


def lacks(model: object, method: str, kind: str) -> PluginError:
    """The error for a model without the one method that a kind of task needs."""
    return PluginError(
        f"{type(model).__name__} can't be evaluated on tasks of kind {kind!r}: it has no method "
        f"{method!r}. Give it one, or choose a model that has it."
    )


def scorable(data: Dataset, item_type: type[ItemType]) -> tuple[ItemType, ...]:
    """The items of `data`, all labelled and of the type that the kind of task works on.

    Raises DataError when there are none, a label was stripped or a reader of another kind
    made them.
    """
    where = f"{data.task}/{data.language} ({data.split})"
    items = tuple(item for item in data.items if isinstance(item, item_type))
    if len(items) < len(data.items):
        other = next(item for item in data.items if not isinstance(item, item_type))
        raise DataError(
            f"{where}: item {other.id!r} is a {type(other).__name__}, but this kind of task has "
            f"{item_type.__name__} items; the card's reader and its kind don't fit."
        )
    if not items:
        raise DataError(f"{where}: no items, so there is no score.")
    bare = [item.id for item in items if not item.labelled]
    if bare:
        raise DataError(
            f"{where}: {len(bare):,} of {len(items):,} items have no label, the first is "
            f"{bare[0]!r}; they can't be scored."
        )
    return items


def demand_count(returned: Any, method: str, expected: int) -> None:
    """Raises PluginError unless a model returned one thing for each item."""
    if len(returned) != expected:
        raise PluginError(f"{method}() returned {len(returned):,} results for {expected:,} items.")


def demand_lines(file: DataFile, lines: Sequence[Any], expected: int) -> None:
    """Raises DataError unless a prediction file has one line for each item."""
    if len(lines) != expected:
        raise DataError(f"{file.path}: {len(lines):,} predictions for {expected:,} items")


def answered(
    file: DataFile, given: Mapping[str, Answer], ids: Sequence[str]
) -> list[Answer | None]:
    """What a prediction file has for each id, None for nothing. Notes say how many are missing,
    which counts as wrong officially, and how many it has for unknown ids, which are ignored.

    Raises DataError when it has predictions, but none for any of the ids: it is another file's.
    """
    found = [given.get(id) for id in ids]
    absent = [id for id, value in zip(ids, found, strict=True) if value is None]
    if given and len(absent) == len(ids):
        raise file.error(
            f"none of its {len(given):,} ids is among the {len(ids):,} expected; it has "
            f"{next(iter(given))!r}, expected is {ids[0]!r} and the like"
        )
    if absent:
        file.notes.append(
            f"{len(absent):,} of {len(ids):,} items have no prediction and count as wrong, the "
            f"first is {absent[0]!r}"
        )
    extra = given.keys() - set(ids)
    if extra:
        file.notes.append(f"{len(extra):,} predictions are for unknown ids, e.g. {min(extra)!r}")
    return found


def finite(returned: Any, method: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """What a model's `method` returned, as an array of `shape` (None: any size).

    Raises PluginError when it has another shape, holds something else than numbers or a number
    that is not finite: an argmax over NaN is an answer, too, and would go unnoticed.
    """
    array = np.asarray(returned)
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiu":
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise PluginError(
            f"{method}() must return numbers of shape ({wanted}), "
            f"not {array.dtype} of shape {array.shape}."
        )
    good = np.isfinite(array)
    if not good.all():
        first = tuple(int(i) for i in np.argwhere(~good)[0])
        raise PluginError(
            f"{method}() must return finite numbers, but {int((~good).sum()):,} of {array.size:,} "
            f"are not; the first is {array[first]} at {first}."
        )
    return array
