"""Plain training: the loss as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.cards import Strict
from xharness.plugins.roles import Passes

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class Plain(Strict, frozen=True):
    """One pass, one backward."""

    name: ClassVar[str] = "plain"

    @property
    def work(self) -> Passes:
        return Passes()

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        return forward.backward(forward(batch).loss, weight)
