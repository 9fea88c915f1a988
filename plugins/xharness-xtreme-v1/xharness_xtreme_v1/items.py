"""The item type of the kind `mining`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForeignSentence:
    """A sentence of the foreign side and the ids of its translations among the candidates.

    Most sentences of comparable corpora have none: `targets` is empty for them, and None when
    the gold pairs are not there. (In a `Query`, empty means stripped.)
    """

    id: str
    text: str
    targets: tuple[str, ...] | None
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return self.targets is not None
