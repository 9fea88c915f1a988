"""VAT: predictions shall stay the same in the direction that changes them most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import AtLeastOne, Positive

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class VAT(Perturbing, frozen=True):
    """CE(E) + weight * KL(p || f(E + r)), p = f(E) without gradient: r has length `radius` and the
    direction that `ascents` power iterations find from a random one, probing at distance `probe`.

    1 + `ascents` + 1 forward passes, `ascents` gradients of the perturbation, 1 backward pass
    through both graphs.
    Source: Miyato et al. 2017; tensorflow/models research/adversarial_text (radius 5 and probe 0.1
    on embeddings of norm about 16).
    """

    name: ClassVar[str] = "vat"
    ascents: AtLeastOne = 1
    radius: Positive = 0.3
    probe: Positive = 0.1
    weight: Positive = 1.0

    @property
    def work(self) -> Passes:
        return Passes(self.ascents + 2, 2, self.ascents)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        clean = ball.at()
        aim = clean.detach()
        direction = ball.normal()
        for _ in range(self.ascents):
            delta = ball.ascend(ball.zeros(), direction, self.probe).requires_grad_()
            direction = forward.gradient(aim.divergence(ball.at(delta)), delta)
        worst = ball.ascend(ball.zeros(), direction, self.radius)
        change = aim.divergence(ball.at(worst))
        return forward.backward(clean.loss + self.weight * change, weight)
