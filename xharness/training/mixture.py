"""What each optimiser step trains on: the next batch of the one task, or of the task it draws."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xharness.cards import Intermediate
from xharness.errors import XharnessError
from xharness.training.streams import stream

if TYPE_CHECKING:  # plans need the shares, and no torch
    from xharness.inference.network import Example


def shares(sizes: Sequence[int], mixture: Intermediate) -> list[float]:
    """The probability of each task, from the tasks' numbers of items; they add up to 1. Raises
    XharnessError for a temperature so near 0 that they can't be computed.

    Source: nyu-mll/jiant, jiant/proj/main/components/task_sampler.py.
    """
    capped = [min(size, mixture.cap) for size in sizes]
    try:
        tempered = [size ** (1 / mixture.temperature) for size in capped]
    except OverflowError:
        raise XharnessError(
            f"intermediate.temperature is {mixture.temperature:g}, too near 0; for the largest "
            "task alone name it alone"
        ) from None
    weights = {
        "uniform": [1.0] * len(sizes),
        "proportional": sizes,
        "capped": capped,
        "temperature": tempered,
    }[mixture.sampler]
    return [weight / sum(weights) for weight in weights]


class Feed:
    """Batches of examples by step: all of a batch are of one task.

    tasks  batch size and share of each task; an example's `task` is its number here.

    A task's examples come epoch after epoch, each in an order of its own, whatever the other tasks
    do. Task and order of a step are functions of `seed` and the step alone, so a training that was
    killed goes on with the batch that comes next. Raises XharnessError when a task has no example.
    """

    def __init__(
        self, examples: Sequence[Example], tasks: Sequence[tuple[int, float]], seed: int
    ) -> None:
        self.seed = seed
        self._batch_sizes = [size for size, _ in tasks]
        self._shares = [share for _, share in tasks]
        self._examples: list[list[Example]] = [[] for _ in tasks]
        for example in examples:
            self._examples[example.task].append(example)
        if not all(self._examples):
            raise XharnessError("there is nothing to train on: a task's data gave no example")
        self._orders: dict[int, tuple[int, list[int]]] = {}

    @property
    def steps_per_epoch(self) -> int:
        """The steps in which every task could be gone through once."""
        return sum(self._steps(task) for task in range(len(self._shares)))

    def rest_of_epoch(self, step: int) -> Iterator[list[Example]]:
        """The batches of `step` (0-based) and the steps after it, to the end of its epoch."""
        drawn = self.drawn(step)
        for now in range(step, (step // self.steps_per_epoch + 1) * self.steps_per_epoch):
            task = self._task(now)
            yield self._batch(task, drawn[task])
            drawn[task] += 1

    def drawn(self, steps: int) -> Counter[int]:
        """How many of the first `steps` steps are each task's."""
        return Counter(self._task(step) for step in range(steps))

    def _task(self, step: int) -> int:
        if len(self._shares) == 1:
            return 0
        generator = random.Random(stream(self.seed, "task", step))
        return generator.choices(range(len(self._shares)), self._shares)[0]

    def _steps(self, task: int) -> int:
        return math.ceil(len(self._examples[task]) / self._batch_sizes[task])

    def _batch(self, task: int, number: int) -> list[Example]:
        """Batch `number` (0-based, over all epochs) of a task."""
        examples, size = self._examples[task], self._batch_sizes[task]
        epoch, position = divmod(number, self._steps(task))
        if self._orders.get(task, (-1, []))[0] != epoch:
            name = ("order", epoch) if len(self._shares) == 1 else ("order", task, epoch)
            generator = random.Random(stream(self.seed, *name))
            self._orders[task] = epoch, generator.sample(range(len(examples)), len(examples))
        order = self._orders[task][1]
        return [examples[i] for i in order[position * size : (position + 1) * size]]
