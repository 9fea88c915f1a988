"""The settings that all methods with perturbed embeddings share."""

from __future__ import annotations

from typing import ClassVar, Literal

from xharness.cards import Strict


class Perturbing(Strict, frozen=True):
    """
    relative        sizes count mean norms of the backbone's word embeddings: for an L2 size the
                    norm itself, for the size of a coordinate the norm over sqrt(width). False:
                    plain units, as in papers, which fit the backbone they were found on.
    special_tokens  perturb special tokens too; off, since a pooled first token draws all of the
                    gradient to itself.
    dropout         `sync`: all passes of a micro-batch have the same dropout masks; `resample`:
                    each has its own.
    """

    name: ClassVar[str]
    relative: bool = True
    special_tokens: bool = False
    dropout: Literal["sync", "resample"] = "sync"
