"""The roles that parts play, as small Protocols; they import nothing that runs.

Letters: N items, K labels, C options, W words, T tags, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from xharness.cards import ModelCard, Profile, Recipe, TaskCard

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
    """Runs a model on one language of a task and scores it; knows nothing of files or torch.

    kind  the kind of task, as cards name it.
    asks  the method that a model needs for it: `classify`, `choose`, `tag`, `extract` or
          `embed`, which networks with heads have, or one that only a producer of your own makes.
    """

    kind: str
    asks: str

    def evaluate(self, model: Any, data: Any, task: TaskCard, metric: Metric) -> Outcome:
        """`data` is a `xharness.data.items.Dataset`, `metric` the one that the card names.
        Raises PluginError when the model lacks the capability that the kind needs, DataError
        when there is nothing to score."""
        ...


@runtime_checkable
class SubmissionScorer(Protocol):
    """What an evaluator does that also scores prediction files, without a model. Both methods
    take a `xharness.data.files.DataFile` and raise DataError, with path and line, where it is
    not as the official format says; what a reader of the score must know goes to its notes."""

    def gold(self, labels: Any, task: TaskCard) -> Sequence[Any]:
        """The items of an official label file; their texts are empty."""
        ...

    def score(self, predictions: Any, data: Any, task: TaskCard, metric: Metric) -> Outcome:
        """As `evaluate`, with predictions from a file in the official format."""
        ...


class Metric(Protocol):
    """A pure function of gold and predictions with a `name`; see `xharness.metrics`.

    One that also has `ratios`, a mapping from value to `xharness.records.Ratio`, which says how the
    value comes from the per-item arrays, gets intervals and paired tests for it.
    """

    name: str

    def __call__(self, gold: Sequence[Any], predicted: Sequence[Any], language: str) -> Scored:
        """One entry an item on both sides. Raises DataError on empty or unequal sides."""
        ...


class Scored(NamedTuple):
    """What a metric returns: values by id, arrays by name with one row per item, and, for the
    values that are computed in more than one way out there, which way it was."""

    values: dict[str, float]
    per_item: dict[str, npt.NDArray[Any]]
    variants: Mapping[str, str] = {}


class Reader(NamedTuple):
    """A file format. `read(file, ask, **options)` takes a `xharness.data.files.DataFile`, a
    `xharness.data.readers.ask.Ask` and the options of the card's layout, and yields items and,
    for retrieval, candidates. It raises DataError, with path and line, where a file is not as
    the format says, and leaves out an item's label where that was stripped."""

    name: str
    read: Callable[..., Iterator[Any]]


class Passes(NamedTuple):
    """What a micro-batch costs: passes forward, those whose graph is gone back through to the
    parameters, and those that are gone back through to a perturbation alone."""

    forward: float = 1
    backward: float = 1
    gradients: float = 0

    @property
    def cost(self) -> float:
        """How many times plain training, where a pass forward counts 1, one back to the parameters
        2 and one back to a perturbation 1."""
        return (self.forward + 2 * self.backward + self.gradients) / 3


class Adversary(Protocol):
    """How a micro-batch becomes gradients: plain training is one, attacks are others; the loop
    does not know which.

    A frozen struct of settings. What it needs comes with each call: `forward`
    (`xharness.training.forward.Forward`, one for each training) makes passes, with the word
    embeddings changed by any function or with other examples than those given, and their logits
    and targets are there for losses of one's own. That is room for

    FreeAT  one pass a call. The order of batches (`xharness/training/mixture.py`) hands each over
            K times in a row, so that each replay is a step of the optimiser; the perturbation that
            one replay leaves to the next is kept beside `forward`, since the settings don't change.
    mixup   one pass whose embeddings are mixed with those of the batch's examples in another
            order, the shorter of two made as long as the longer, and the cross-entropy of its
            logits with both targets.
    Cutoff  two passes, of which the second has rows or columns of the embeddings set to 0 or gets
            examples without the cut span, and a divergence between them.
    xTune   two passes, of which the second gets the examples' augmented twins; these, and the
            teacher of its second stage, are given to the adversary by the producer that makes it.
    """

    name: str

    @property
    def work(self) -> Passes:
        """Those that it makes for one micro-batch, by which trainings are planned and matched."""
        ...

    def accumulate(self, batch: Sequence[Any], forward: Any, weight: float) -> float:
        """Adds the gradient of `weight` times the mean loss of the micro-batch to the parameters'
        gradients, in as many backward passes as it takes, and returns that product. Passes are
        made through `forward` alone, which counts them; randomness comes from it, too."""
        ...


class Augmentation(Protocol):
    """Changed copies of training items, made before they are tokenised. A frozen struct of
    settings."""

    name: str

    def augment(self, items: Sequence[Any], seed: int) -> list[Any]:
        """The items of `xharness.data.items` and what joins them, the same for the same seed."""
        ...

    def files(self) -> Sequence[Any]:
        """A `FileDigest` of each file that it reads: part of a checkpoint's identity."""
        ...


class Source(Protocol):
    """Where data comes from."""

    name: str

    def load(self, task: TaskCard, split: str, language: str) -> Any:
        """A `Dataset`. Raises MissingData (absent or stripped), DataError (broken)."""
        ...


@dataclass(frozen=True)
class Part:
    """One task of a phase, with a head of its own.

    recipe     how its items become examples, and how many are a batch.
    languages, split   whose items; those of several languages are taken one after the other.
    share      how probable it is that a step trains on this task.
    items      how many items it trains on.
    """

    task: TaskCard
    recipe: Recipe
    languages: Sequence[str]
    split: str = "train"
    share: float = 1.0
    items: int = 0


@dataclass(frozen=True)
class Phase:
    """One training run of a lineage, before it is trained: on one task, or on a mixture.

    recipe    of the optimiser; a mixture has what the recipe says for no task in particular.
    address   digest of all that makes the checkpoint: equal addresses are trained once.
    notes     what a reader of its scores must know, e.g. that a stand-in was trained on.
    keeps_head  the head of the phase before is trained on; else it is new.
    """

    parts: Sequence[Part]
    recipe: Recipe
    seed: int
    address: str
    files: Sequence[Any]
    notes: Sequence[str]
    trained: bool
    keeps_head: bool = False

    @property
    def name(self) -> str:
        """The tasks' names."""
        return "+".join(part.task.name for part in self.parts)

    @property
    def task(self) -> TaskCard:
        """The task of a phase that is no mixture."""
        (part,) = self.parts
        return part.task


@dataclass(frozen=True)
class Context:
    """What a producer needs to make models, made once for each run and seed.

    backbone   card -> its backbone, loaded on the run's device.
    identify   card -> what identifies the backbone's weights, without loading them; without a
               backbone, the plugin that the producer is from.
    evaluated  task, language -> the dataset that the run evaluates, or None: it is not
               selected on.
    tasks, evaluator, metric   look-ups by name.
    recipe     card, task, phase (`intermediate` or `target`) -> how it is trained on; the recipe
               for no task is what all share.
    adversary, augmentation   what the recipe asks for.
    on_step    called with phase, step, steps and loss.
    """

    source: Source
    checkpoints: Path
    device: str
    dtype: str
    batch_tokens: int | None
    seed: int
    evaluated: Callable[[TaskCard, str], Any]
    tasks: Mapping[str, TaskCard]
    recipe: Callable[[ModelCard, TaskCard | None, str], Recipe]
    backbone: Callable[[ModelCard], Any]
    identify: Callable[[ModelCard], Mapping[str, Any]]
    evaluator: Callable[[str], Evaluator]
    metric: Callable[[str], Metric]
    adversary: Callable[[Recipe], Adversary]
    augmentation: Callable[[Recipe], Augmentation | None]
    on_step: Callable[[Phase, int, int, float], None]


@dataclass(frozen=True)
class Produced:
    """A model, and what the records tell about the weights behind it.

    backbone  what identifies them; empty for a model without a backbone: then the producer's
              plugin and its version do.
    machine   what depends on where it runs, such as the matrix product that was chosen; it
              stands beside the times.
    weights_sha256  of all weights behind the model, where the backbone's `weights_sha256` is not
              all: it tells a score that moved with new weights from one that moved without.
    """

    model: Any
    backbone: Mapping[str, Any] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)
    machine: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: str | None = None


class Producer(Protocol):
    """Turns a model card and a task into a model: fine-tunes, loads, or both.

    One that trains nothing inherits from this class and defines `name` and `produce` only.
    """

    name: str

    def identify(self, card: ModelCard, task: TaskCard, context: Context) -> Mapping[str, Any]:
        """What identifies the weights that are trained on or evaluated, without loading them."""
        return context.identify(card)

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        """The trainings behind the model for `task`, in order. Trains nothing, loads no weights.
        Raises MissingData when the source lacks training data that is not trained on yet, Refused
        when the model must not be evaluated on `task`."""
        return []

    def train(self, card: ModelCard, lineage: Sequence[Phase], context: Context) -> None:
        """Trains the last phase of `lineage`; the ones before it are trained already."""
        raise NotImplementedError(f"producer {self.name!r} names phases and can't train them")

    def produce(
        self, card: ModelCard, task: TaskCard, lineage: Sequence[Phase], context: Context
    ) -> Produced:
        """A model that is ready to be evaluated on `task`; the whole lineage is trained."""
        raise NotImplementedError
