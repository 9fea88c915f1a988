"""Typed examples: what readers yield, evaluators score and producers train on.

Every item has an `id` that is unique within its task, split and language, a `cluster` (items
that share a text are not independent: the paragraph of a question, the premise of a pair) and
a `parallel` key (the same key in two languages means a translation of the same item); both are
what intervals and paired tests need. An item whose label was stripped has `None` or an empty
tuple in its place and is never scored.

A new kind of task may bring an item type of its own: a frozen dataclass that is an `Item`, with
its gold in a field named `label`, `tags`, `answers` or `targets`.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Protocol


class Item(Protocol):
    """What all items have in common; see the module's docstring."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def id(self) -> str: ...

    @property
    def cluster(self) -> str: ...

    @property
    def parallel(self) -> str: ...

    @property
    def labelled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts and one label (kind `classification`)."""

    id: str
    first: str
    second: str
    label: str | None
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """A premise and the options that may go on from it (kind `choice`); `label` is an index."""

    id: str
    premise: str
    options: tuple[str, ...]
    label: int | None
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and one tag for each (kind `tagging`); `tags` is None when stripped."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return self.tags is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """A gold answer; `start` counts code points of the context."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its context and the gold answers (kind `span`); `impossible` ones have none,
    which is their gold, while others without answers were stripped of them."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    cluster: str = ""
    parallel: str = ""
    impossible: bool = False

    @property
    def labelled(self) -> bool:
        return self.impossible or bool(self.answers)


@dataclass(frozen=True, slots=True)
class Query:
    """A text to search with and the ids of the candidates that are right (kinds `bitext`,
    `ranking`); `targets` is empty when stripped."""

    id: str
    text: str
    targets: tuple[str, ...]
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return bool(self.targets)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of the pool that queries are searched in."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """A query text and its right candidate text: what dual encoders are trained on."""

    id: str
    query: str
    candidate: str
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Text:
    """A text without label (kind `mlm`): its own tokens are what is predicted."""

    id: str
    text: str
    cluster: str = ""
    parallel: str = ""

    @property
    def labelled(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file that data came from; `path` is relative to the data root, with forward slashes."""

    path: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The items of one task, split and language.

    pool   candidates, shared by all languages of a ranking task (same object each time).
    tuning the items that the evaluator tunes on, where they are not the scored ones.
    notes  what a reader of the score must know: "stand-in: ...", "cut: 300 of 5,010 items",
           "split dev stands in for test (stripped)".
    """

    task: str
    split: str
    language: str
    items: tuple[Item, ...]
    pool: tuple[Candidate, ...] = ()
    files: tuple[FileDigest, ...] = ()
    notes: tuple[str, ...] = field(default=())
    tuning: Dataset | None = None
