"""Readers: one for each file format, none for a data set.

A reader takes a file, what is asked of it and the options of the task card's layout, and yields
items and, for retrieval, the candidates of the pool. It gives the label `None` (or no tags, no
answers, no targets) where a label was stripped; what follows from that is the source's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xharness.data.items import Candidate, Item
from xharness.data.readers import (
    bitext,
    choices,
    conllu,
    mewslix,
    squad,
    squad_sentences,
    tagged,
    tsv,
    xquad_r,
)

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
