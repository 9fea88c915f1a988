"""Readers: one for each file format, none for a data set.

A reader takes a file, what is asked of it and the options of the task card's layout, and yields
items and, for retrieval, the candidates of the pool. It gives the label `None` (or no tags, no
answers, no targets) where a label was stripped; what follows from that is the source's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any

from xharness.cards import Files, Hub, TaskCard
from xharness.data.placeholders import fill_in
from xharness.data.readers import choices, commonsenseqa, hellaswag, rows
from xharness.errors import CardError, UnknownName

Read = Callable[..., Iterator[Any]]

# What reads the rows of a table instead of a file.
TABLE_READERS: dict[str, Read] = {
    "commonsenseqa": commonsenseqa.read_table,
    "copa": choices.read_copa,
    "hellaswag": hellaswag.read,
    "pairs": rows.read_pairs,
    "siqa": choices.read_siqa,
    "squad": rows.read_squad,
    "squad-sentences": rows.read_squad_sentences,
    "words": rows.read_words,
}


def bound_table_reader(task: TaskCard, place: Hub, language: str) -> Read:
    """As `bound_reader`; raises UnknownName when no reader of tables has the card's name."""
    if place.reader not in TABLE_READERS:
        hint = f"Task {task.name!r} asks."
        raise UnknownName("reader", place.reader, TABLE_READERS, hint)
    return bound_reader(TABLE_READERS[place.reader], task, place, language)


def bound_reader(read: Read, task: TaskCard, place: Files | Hub, language: str) -> Read:
    """A reader with the card's options filled in for a language. Raises CardError for options
    that it lacks."""
    options = {
        key: fill_in(value, language) if isinstance(value, str) else value
        for key, value in place.options.items()
    }
    try:
        signature(read).bind(None, None, **options)
    except TypeError as error:
        raise CardError(f"task {task.name!r}, reader {place.reader!r}: {error}") from error
    return partial(read, **options)
