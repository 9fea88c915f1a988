"""What a recipe card may say: hyper-parameters by name, kind of task and task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from xharness.cards.reading import Strict

Counted = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Lora(Strict, frozen=True):
    """Low-rank updates of linear layers in place of training the backbone (arXiv 2106.09685).

    alpha    the update is scaled by alpha / rank.
    targets  ends of the names of the layers; empty means all linear layers of the backbone.
    """

    rank: Counted
    alpha: Counted
    dropout: Share = 0.0
    targets: list[str] = []


class Recipe(Strict, frozen=True):
    """Hyper-parameters of one phase. `batch_size` counts items per optimiser step.

    warmup            share of the steps (below 1) or a number of steps.
    max_grad_norm     longer gradients are scaled to it.
    head_rate_factor  the head's learning rate over the encoder's.
    empty_windows     share of the question windows without the answer that are trained on.
    max_items         so many of a task's training items are drawn, by the seed; None takes all.
    max_length, doc_stride  replace the task's values in training only; None keeps them.
    lora              trains low-rank updates, the same through all phases, in place of the
                      backbone.
    select            `dev` keeps the weights with the best English dev score, `last` the last.
    select_every      steps between two looks at the dev score; 0 looks after each epoch.
    length            the training is so many times as long as `epochs` says.
    adversary         `name` of an adversary and its settings; empty means plain training.
    compute_matched   the adversary does not act: its passes go into a longer training instead.
    augmentation      `name` of an augmentation and its settings; empty means the data as it is.
    """

    name: str
    learning_rate: Positive
    epochs: Counted
    batch_size: Counted
    warmup: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    adam_epsilon: Positive = 1e-8
    max_grad_norm: Positive = 1.0
    head_rate_factor: Positive = 1.0
    empty_windows: Share = 1.0
    max_items: Counted | None = None
    max_length: Counted | None = None
    doc_stride: Counted | None = None
    freeze_embeddings: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    lora: Lora | None = None
    select: Literal["dev", "last"] = "last"
    select_every: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Positive = 1.0
    adversary: dict[str, Any] = {}
    compute_matched: bool = False
    augmentation: dict[str, Any] = {}


# Some fields of a recipe; reading a card checks their names and types.
RecipePart = Annotated[dict[str, Any], Recipe]


class Sizes(Strict, frozen=True):
    """How large a backbone is: parameters in all and in the embeddings, layers, their width."""

    parameters: int
    embeddings: int
    layers: int
    width: int


class RecipeCard(Strict, frozen=True):
    """Named hyper-parameters: `defaults`, then what differs by kind, then by task (in the task
    card's `recipes`). Merged, they must give a whole `Recipe`, unless others are adjusted by it.

    extends  name of the recipe that this one changes; its values for the task come first.
    sizes    of the backbones that it was made for, by which memory is planned without them.
    """

    name: str
    description: str
    defaults: RecipePart
    kinds: dict[str, RecipePart] = {}
    extends: str | None = None
    sizes: dict[str, Sizes] = {}
