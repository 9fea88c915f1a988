"""Random perturbations: randomised smoothing, and the control for what gradients add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import AtLeastOne, Size

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class Noise(Perturbing, frozen=True):
    """The mean over `passes` of CE(E + z).

    shape  `gaussian`: each coordinate from N(0, radius^2), as randomised smoothing is certified
           (Cohen et al. 2019); `sphere`: a random direction of length `radius`, which is what an
           attack does without its gradient. With FreeLB's number of passes it costs the same.
    """

    name: ClassVar[str] = "noise"
    radius: Size = 0.1
    shape: Literal["gaussian", "sphere"] = "gaussian"
    passes: AtLeastOne = 1

    @property
    def work(self) -> Passes:
        return Passes(self.passes, self.passes)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        loss = 0.0
        for draw in range(self.passes):
            noise = ball.normal(draw)
            if self.shape == "gaussian":
                delta = noise * ball.coordinate(self.radius)
            else:
                delta = ball.ascend(ball.zeros(), noise, self.radius)
            loss += forward.backward(ball.at(delta).loss, weight / self.passes)
        return loss
