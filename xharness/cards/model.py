"""What a model card may say."""

from __future__ import annotations

from typing import Any, Literal

from xharness.cards.reading import Strict


class Profile(Strict, frozen=True):
    """How a backbone's sentence vectors are taken; None means the backbone's own default.

    layer    index into the hidden states, 0 being the embeddings, negative from the end.
    pooling  `mean` over all tokens, special ones included, or the first (`cls`) or `last` one.
    prefix   text put before each sentence.
    head     what classification heads read: `mean` or `last`, or `cls` through a dense layer.
    attention  `causal` lets tokens see only those before them, as decoders were pretrained;
             `full` lets a decoder's tokens see the whole sequence (arXiv 2401.14556).
    """

    layer: int | None = None
    pooling: Literal["mean", "cls", "last"] | None = None
    prefix: str | None = None
    head: Literal["mean", "cls", "last"] | None = None
    attention: Literal["causal", "full"] | None = None


class TrainingPart(Strict, frozen=True):
    """A task that is trained on, where its name alone does not say enough.

    languages  whose data are taken, one language after the other; empty means English.
    split      `dev` where there is no training data in the language.
    """

    task: str
    languages: list[str] = []
    split: Literal["train", "dev"] = "train"


class Intermediate(Strict, frozen=True):
    """What is trained on before the target tasks: one task, or a mixture from which each optimiser
    step draws one (arXiv 2005.13013; nyu-mll/jiant, task_sampler.py).

    sampler      what the probability of a task with n items is proportional to: 1, n, min(n, cap)
                 or min(n, cap) ** (1 / temperature).
    """

    tasks: list[str | TrainingPart]
    sampler: Literal["uniform", "proportional", "capped", "temperature"] = "temperature"
    temperature: float = 2.0
    cap: int = 131_072

    @property
    def parts(self) -> list[TrainingPart]:
        """The tasks, those given by name alone in English."""
        return [TrainingPart(task=t) if isinstance(t, str) else t for t in self.tasks]


class Adjust(Strict, frozen=True):
    """Recipes whose values replace those of the model's recipe in some phases: what differs between
    two models, whatever recipe both are trained with. They need not be whole.

    intermediate  in the phase before the target tasks.
    target        in those of the target tasks.
    """

    intermediate: str | None = None
    target: str | None = None


class ModelCard(Strict, frozen=True):
    """A way to make models: a producer and, where it asks for them, a backbone and a recipe.

    adjust    what is different from the recipe, by phase.
    train_on  replaces the tasks that are trained on, by evaluated task.
    source_language  of the data that the target tasks are trained on.
    intermediate  what is trained on before them.
    profile   how sentence vectors are taken.
    options   what else the producer takes.
    """

    name: str
    producer: str
    description: str
    backbone: str | None = None
    recipe: str | None = None
    adjust: Adjust = Adjust()
    train_on: dict[str, list[str]] = {}
    source_language: str = "en"
    intermediate: Intermediate | None = None
    profile: Profile = Profile()
    options: dict[str, Any] = {}
