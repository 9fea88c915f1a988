"""Readers: one for each file format, none for a data set.

A reader takes a file, what is asked of it and the options of the task card's layout, and yields
items and, for retrieval, the candidates of the pool. It gives the label `None` (or no tags, no
answers, no targets) where a label was stripped; what follows from that is the source's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import signature

from xharness.cards import Files, Hub, TaskCard
from xharness.data.items import Candidate, Item
from xharness.data.languages import fill_in
from xharness.data.readers import (
    bitext,
    choices,
    conllu,
    mewslix,
    rows,
    squad,
    squad_sentences,
    tagged,
    tsv,
    xquad_r,
)
from xharness.errors import CardError, UnknownName

Reader = Callable[..., Iterator[Item | Candidate]]

READERS: dict[str, Reader] = {
    "bitext": bitext.read,
    "conllu": conllu.read,
    "copa": choices.read_copa,
    "mewslix": mewslix.read,
    "siqa": choices.read_siqa,
    "squad": squad.read,
    "squad-sentences": squad_sentences.read,
    "tagged": tagged.read,
    "tsv": tsv.read,
    "xquad-r": xquad_r.read,
}

# What reads the rows of a table instead of a file.
TABLE_READERS: dict[str, Reader] = {
    "copa": choices.read_copa,
    "pairs": rows.read_pairs,
    "siqa": choices.read_siqa,
    "squad": rows.read_squad,
    "squad-sentences": rows.read_squad_sentences,
    "words": rows.read_words,
}


def bound_reader(
    readers: Mapping[str, Reader], task: TaskCard, place: Files | Hub, language: str
) -> Reader:
    """The reader that a card names, with its options filled in for a language.

    Raises UnknownName when there is none of this name, CardError for options that it lacks."""
    reader = readers.get(place.reader)
    if reader is None:
        raise UnknownName("reader", place.reader, readers, f"Task {task.name!r} asks.")
    options = {
        key: fill_in(value, language) if isinstance(value, str) else value
        for key, value in place.options.items()
    }
    try:
        signature(reader).bind(None, None, **options)
    except TypeError as error:
        raise CardError(f"task {task.name!r}, reader {place.reader!r}: {error}") from error
    return partial(reader, **options)
