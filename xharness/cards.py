"""Cards: the YAML that declares tasks, suites, models and recipes, and its strict reading.

What a scientist changes is here; unknown keys, wrong types and YAML's surprises (a bare `no` is
the boolean false) are all reported at once, each with file, line and the nearest known key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml

from xharness.errors import CardError, did_you_mean

KINDS = ("classification", "choice", "tagging", "span", "bitext", "ranking")
Kind = Literal["classification", "choice", "tagging", "span", "bitext", "ranking"]
Precision = Literal["fp32", "bf16"]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all card structs: frozen, and unknown keys are errors."""


class Files(Strict):
    """Where a split lies in a release folder, in one layout.

    path     relative pattern, matched against the end of a file's path (whole components);
             `{language}`, `{iso3}` and `{english}` (the language's name in lower case) are
             filled in, `*` matches within a component.
    reader   a reader of `xharness.data.readers`, with its `options`.
    join     several files are expected and are read one after the other in name order.
    languages  those that this layout is for; empty means all.
    pool     where candidates are besides the file itself: `languages` means the files of all
             languages of the card, otherwise the pattern of one more file for the reader.
    """

    path: str
    reader: str
    join: bool = False
    languages: list[str] = []
    pool: str = ""
    options: dict[str, Any] = {}


class Preprocessing(Strict):
    """What the official script does to texts before the model; lengths count sub-words
    including special tokens. Each kind uses the fields that mean something to it."""

    max_length: int = 128
    doc_stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    max_query_length: int = 512
    max_candidate_length: int = 512


class Recipe(Strict):
    """Hyper-parameters of one phase. `batch_size` counts items per optimiser step.

    warmup            share of the steps (below 1) or a number of steps.
    head_rate_factor  the head's learning rate over the encoder's.
    empty_windows     share of the question windows without the answer that are trained on.
    max_length, doc_stride  replace the task's values in training only; None keeps them.
    select            `dev` keeps the weights with the best English dev score, `last` the last.
    select_every      steps between two looks at the dev score; 0 looks after each epoch.
    """

    name: str
    learning_rate: float
    epochs: int
    batch_size: int
    warmup: float = 0.0
    weight_decay: float = 0.0
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    head_rate_factor: float = 1.0
    empty_windows: float = 1.0
    max_length: int | None = None
    doc_stride: int | None = None
    freeze_embeddings: bool = False
    precision: Precision = "fp32"
    select: Literal["dev", "last"] = "last"
    select_every: int = 0


class TaskCard(Strict):
    """A dataset with languages and a metric.

    data          split -> the layouts it may have; the first that a folder holds is read.
    sizes         split -> number of items as published, one for all languages or by language.
    fallback      the split that stands in when the evaluated one is absent or stripped.
    train_on      names of the tasks that are trained on, in order, before evaluating; empty
                  means that nothing is trained (retrieval with the raw encoder).
    recipes       recipe name -> what differs for this task from the recipe's defaults.
    metric        name of the metric; `official` are the values that the official scorer prints,
                  `score` those whose mean is the task's score.
    labels        in the order of the logits; empty for kinds without labels.
    submission    suffix of the official prediction file.
    note          what a reader of the scores must know.
    """

    name: str
    kind: Kind
    description: str
    languages: list[str]
    metric: str
    official: list[str]
    score: list[str]
    version: int = 1
    split: str = "test"
    fallback: str | None = None
    data: dict[str, list[Files]] = {}
    sizes: dict[str, int | dict[str, int]] = {}
    labels: list[str] = []
    preprocessing: Preprocessing = Preprocessing()
    train_on: list[str] = []
    recipes: dict[str, dict[str, Any]] = {}
    submission: str = "tsv"
    note: str = ""


class Average(Strict):
    """A total of ours: the plain mean over all tasks of the suite. `values` replaces the
    score of a task by the mean of other values of it; `rule` says it in words."""

    name: str
    rule: str
    values: dict[str, list[str]] = {}


class SuiteCard(Strict):
    """Tasks with groups and averages.

    languages    task -> languages, where they differ from the task card's.
    groups       official group -> its tasks.
    unofficial   tasks that the official scorer can't read; they stand under our key only.
    """

    name: str
    description: str
    tasks: list[str]
    groups: dict[str, list[str]]
    averages: list[Average]
    languages: dict[str, list[str]] = {}
    unofficial: list[str] = []


class Profile(Strict):
    """How a backbone's sentence vectors are taken; None means the backbone's own default.

    layer    index into the hidden states, 0 being the embeddings, negative from the end.
    pooling  `mean` over all tokens, special ones included, or `cls`, the first token.
    prefix   text put before each sentence.
    """

    layer: int | None = None
    pooling: Literal["mean", "cls"] | None = None
    prefix: str | None = None


class ModelCard(Strict):
    """A way to make models: a producer, a backbone and a recipe.

    train_on  replaces the tasks that are trained on, by evaluated task.
    profile   how sentence vectors are taken.
    options   what else the producer takes.
    """

    name: str
    producer: str
    description: str
    backbone: str
    recipe: str
    train_on: dict[str, list[str]] = {}
    profile: Profile = Profile()
    options: dict[str, Any] = {}


class RecipeCard(Strict):
    """Named hyper-parameters: `defaults`, then what differs by kind, then by task (in the task
    card's `recipes`). Merged, they must give a whole `Recipe`."""

    name: str
    description: str
    defaults: dict[str, Any]
    kinds: dict[str, dict[str, Any]] = {}

    def for_task(self, task: TaskCard) -> Recipe:
        """The recipe for training on `task`; raises CardError when it isn't whole."""
        merged = {
            **self.defaults,
            **self.kinds.get(task.kind, {}),
            **task.recipes.get(self.name, {}),
            "name": self.name,
        }
        try:
            return msgspec.convert(merged, Recipe)
        except msgspec.ValidationError as error:
            raise CardError(f"recipe {self.name!r} for task {task.name!r}: {error}") from error


Card = TypeVar("Card", TaskCard, SuiteCard, ModelCard, RecipeCard)


def digest(value: Any) -> str:
    """SHA-256 of a struct or plain value as canonical JSON, the identity of cards."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
