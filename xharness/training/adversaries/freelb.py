"""FreeLB: the mean loss along an ascent, each pass of which trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import Count, Size

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class FreeLB(Perturbing, frozen=True):
    """mean over t = 0..ascents of CE(E + d_t), from a random start of size `start`, by ascents of
    length `step` projected onto the ball of `radius` (0: none).

    `ascents` + 1 forward and as many backward passes, each of which delivers the gradient of the
    next ascent. (The two official codes count differently: fairseq's `adv_steps` are ascents, the
    Hugging Face one's are passes.)
    Source: Zhu et al. 2020, algorithm 1.
    """

    name: ClassVar[str] = "freelb"
    ascents: Count = 1
    step: Size = 0.1
    radius: Size = 0.3
    start: Size = 0.1

    @property
    def work(self) -> Passes:
        return Passes(self.ascents + 1, self.ascents + 1)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        delta = ball.start(self.start)
        share = weight / (self.ascents + 1)
        loss = 0.0
        for ascent in range(self.ascents + 1):
            if ascent:
                delta = ball.ascend(delta, delta.grad, self.step, self.radius)
            delta.requires_grad_(ascent < self.ascents)
            loss += forward.backward(ball.at(delta).loss, share)
        return loss
