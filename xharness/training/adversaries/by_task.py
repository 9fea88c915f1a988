"""What a phase trains with: each task's own adversary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xharness.plugins.roles import Adversary

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class ByTask:
    """Hands a micro-batch, whose examples are all of one task, to the adversary of that task."""

    def __init__(self, adversaries: Sequence[Adversary]) -> None:
        self._adversaries = adversaries

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        task: int = batch[0].task
        return self._adversaries[task].accumulate(batch, forward, weight)
