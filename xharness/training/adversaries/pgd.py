"""PGD-K: the loss at the end of K projected ascents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import AtLeastOne, Size

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class PGD(Perturbing, frozen=True):
    """clean_weight * CE(E) + CE(E + d_K): K `ascents` of length `step`, each projected onto the
    ball of `radius` (0: none), from a random start of size `start`.

    Only the perturbation is differentiated on the way: K + 1 forward passes, K gradients of the
    perturbation, 1 backward pass. A clean term needs a backward pass, which is the first ascent's
    gradient too where `start` is 0, else a pass of its own as well.
    Source: Madry et al. 2018 as `std_adv_train_step` of zhuchen03/FreeLB (whose gradient norm can
    be 0 there, and the result not a number).
    """

    name: ClassVar[str] = "pgd"
    ascents: AtLeastOne = 3
    step: Size = 0.1
    radius: Size = 0.3
    start: Size = 0.0
    clean_weight: Size = 0.0

    @property
    def work(self) -> Passes:
        k = self.ascents
        if not self.clean_weight:
            return Passes(k + 1, 1, k)
        return Passes(k + 2, 2, k) if self.start else Passes(k + 1, 2, k - 1)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        delta = ball.start(self.start)
        loss = 0.0
        if self.clean_weight and self.start:
            loss += forward.backward(ball.at().loss, weight * self.clean_weight)
        for ascent in range(self.ascents):
            delta.requires_grad_()
            reached = ball.at(delta).loss
            if ascent == 0 and self.clean_weight and not self.start:
                loss += forward.backward(reached, weight * self.clean_weight)
                gradient = delta.grad
            else:
                gradient = forward.gradient(reached, delta)
            delta = ball.ascend(delta, gradient, self.step, self.radius)
        return loss + forward.backward(ball.at(delta).loss, weight)
