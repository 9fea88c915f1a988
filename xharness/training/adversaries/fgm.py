"""FGM: the clean loss, and the loss one step up its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import Positive, Size

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class FGM(Perturbing, frozen=True):
    """clean_weight * CE(E) + weight * CE(E + r), r = radius * g / |g| with g the gradient of the
    clean loss, which its own backward pass delivers; without a clean term g is taken alone.

    The norm is that of each sequence of embeddings, never of the embedding matrix: there, tokens
    that examples share would couple them. 2 forward and 2 backward passes.
    Source: Miyato et al. 2017 (radius 5 on embeddings of norm about 16, hence 0.3).
    """

    name: ClassVar[str] = "fgm"
    radius: Size = 0.3
    clean_weight: Size = 1.0
    weight: Positive = 1.0

    @property
    def work(self) -> Passes:
        return Passes(2, 2) if self.clean_weight else Passes(2, 1, 1)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        delta = ball.zeros().requires_grad_()
        clean = ball.at(delta).loss
        if self.clean_weight:
            loss = forward.backward(clean, weight * self.clean_weight)
            gradient = delta.grad
        else:
            loss, gradient = 0.0, forward.gradient(clean, delta)
        worst = ball.ascend(ball.zeros(), gradient, self.radius)
        return loss + forward.backward(ball.at(worst).loss, weight * self.weight)
