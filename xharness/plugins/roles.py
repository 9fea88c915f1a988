"""The roles that parts play, as small Protocols; they import nothing that runs.

Letters: N items, K labels, C options, W words, T tags, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from xharness.cards import ModelCard, Preprocessing, Profile, Recipe, TaskCard

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]


class Span(NamedTuple):
    """A piece of a context, in code points, and its score (start logit + end logit)."""

    start: int
    end: int
    score: float


@runtime_checkable
class Classifier(Protocol):
    def classify(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Logits (N, K), K in the order of the task card's labels."""
        ...


@runtime_checkable
class Chooser(Protocol):
    def choose(self, premises: Sequence[str], options: Sequence[Sequence[str]]) -> Floats:
        """Scores (N, C); all items of one call have equally many options."""
        ...


@runtime_checkable
class Tagger(Protocol):
    def tag(self, sentences: Sequence[Sequence[str]]) -> list[Floats]:
        """Logits (W, T) for each sentence, T in the order of the task card's labels."""
        ...


@runtime_checkable
class Extractor(Protocol):
    def extract(self, questions: Sequence[str], contexts: Sequence[str]) -> list[list[Span]]:
        """Best spans first for each question; empty when nothing can be extracted."""
        ...


@runtime_checkable
class Embedder(Protocol):
    def embed(self, texts: Sequence[str], side: str) -> Floats:
        """Vectors (N, D) float32, not normalised; `side` is `query` or `candidate`."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What an evaluator found out about one cell.

    values      metric id -> number, percent where the metric is a share.
    per_item    name -> array whose first axis is the items, enough to recompute `values`.
    submission  content of the official prediction file.
    variants    metric id -> how it was computed, where more than one way is in use.
    """

    values: Mapping[str, float]
    per_item: Mapping[str, npt.NDArray[Any]]
    submission: str
    variants: Mapping[str, str] = field(default_factory=dict)


class Evaluator(Protocol):
    """Runs a model on one language of a task and scores it; knows nothing of files or torch."""

    kind: str

    def evaluate(self, model: Any, data: Any, task: TaskCard, metric: Metric) -> Outcome:
        """`data` is a `xharness.data.items.Dataset`, `metric` the one that the card names.
        Raises PluginError when the model lacks the capability that the kind needs, DataError
        when there is nothing to score."""
        ...


class Metric(Protocol):
    """A pure function of gold and predictions with a `name`; see `xharness.metrics`."""

    name: str

    def __call__(self, gold: Sequence[Any], predicted: Sequence[Any], language: str) -> Scored:
        """One entry an item on both sides. Raises DataError on empty or unequal sides."""
        ...


class Scored(NamedTuple):
    """What a metric returns: values by id, arrays by name with one row per item."""

    values: dict[str, float]
    per_item: dict[str, npt.NDArray[Any]]


class Source(Protocol):
    """Where data comes from."""

    name: str

    def load(self, task: TaskCard, split: str, language: str) -> Any:
        """A `Dataset`. Raises MissingData (absent or stripped), DataError (broken)."""
        ...


@dataclass(frozen=True)
class Phase:
    """One training run of a lineage, before anything is trained: pure, from cards alone."""

    task: TaskCard
    recipe: Recipe
    seed: int

    @property
    def preprocessing(self) -> Preprocessing:
        return self.task.preprocessing


@dataclass(frozen=True)
class Context:
    """What a producer needs to make a model, made once for each run.

    source      where training data comes from.
    train       `missing` trains what no checkpoint exists for, `never` is an error that names
                the command.
    evaluated   (task, split, language) triples of the run: none of them may be selected on.
    progress    called with a line of text about the training step, its loss and its ETA.
    """

    source: Source
    checkpoints: Any
    device: str
    dtype: str
    batch_size: str
    seed: int
    train: str
    evaluated: frozenset[tuple[str, str, str]]
    tasks: Mapping[str, TaskCard]
    recipe: Callable[[TaskCard], Recipe]
    backbone: Callable[[], Any]
    evaluator: Callable[[str], Evaluator]
    hook: Any
    limit: int | None = None


class Producer(Protocol):
    name: str

    def phases(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        """The trainings that the model for `task` needs, in order; pure."""
        ...

    def produce(self, card: ModelCard, task: TaskCard, context: Context) -> Produced:
        """A model that is ready to be evaluated on `task`."""
        ...


@dataclass(frozen=True)
class Produced:
    """A model and where it comes from, as the records will tell it."""

    model: Any
    backbone: Mapping[str, Any]
    lineage: Sequence[Mapping[str, Any]]
    profile: Profile
    notes: Sequence[str] = ()
