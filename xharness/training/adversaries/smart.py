"""SMART: a smoothness term, the worst change of the prediction in a small box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import AtLeastOne, Positive

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class SMART(Perturbing, frozen=True):
    """CE(E) + weight * S(E, E + d): S the symmetric KL with each target detached, d found by
    `ascents` on S in the L-infinity ball of `radius`, from N(0, start^2).

    The projection is real: the official code (namisan/mt-dnn) divides by the largest coordinate
    instead, which makes every coordinate of order 1, and it has no proximal (Bregman) term either.
    The start can't be 0, where S has no gradient. 1 + `ascents` + 1 forward passes, `ascents`
    gradients of the perturbation, 1 backward pass through both graphs.
    Source: Jiang et al. 2020, section 3.1.
    """

    name: ClassVar[str] = "smart"
    ascents: AtLeastOne = 1
    step: Positive = 0.01
    radius: Positive = 0.01
    start: Positive = 0.01
    weight: Positive = 1.0

    @property
    def work(self) -> Passes:
        return Passes(self.ascents + 2, 2, self.ascents)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        clean = ball.at()
        aim = clean.detach()
        delta = ball.normal() * ball.coordinate(self.start)
        for _ in range(self.ascents):
            delta.requires_grad_()
            near = ball.at(delta)
            rise = aim.divergence(near) + near.divergence(aim)
            gradient = forward.gradient(rise, delta)
            delta = ball.ascend_coordinates(delta, gradient, self.step, self.radius)
        near = ball.at(delta)
        smoothness = aim.divergence(near) + near.detach().divergence(clean)
        return forward.backward(clean.loss + self.weight * smoothness, weight)
