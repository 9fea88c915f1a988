"""R3F: predictions shall stay the same under tiny noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from xharness.plugins.roles import Passes
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.settings import Positive, Size

if TYPE_CHECKING:
    from xharness.training.forward import Forward


class R3F(Perturbing, frozen=True):
    """CE(E) + weight * (KL(p || q) + KL(q || p)), p at E, q at E + z, z ~ U(-radius, radius) in
    each coordinate.

    Gradients flow into both sides, but on the noisy side not into the word embeddings. By default
    each side has its own dropout, as in the official code, so that much of the term is what R-Drop
    asks for. 2 forward passes, 1 backward pass through both graphs.
    Source: Aghajanyan et al. 2020; facebookresearch/fairseq examples/rxf (the sentence version;
    its noise hits padding too).
    """

    name: ClassVar[str] = "r3f"
    radius: Size = 0.01
    weight: Positive = 1.0
    dropout: Literal["sync", "resample"] = "resample"

    @property
    def work(self) -> Passes:
        return Passes(2, 2)

    def accumulate(self, batch: Sequence[Any], forward: Forward, weight: float) -> float:
        ball = forward.ball(batch, self)
        clean = ball.at()
        noisy = ball.at(ball.uniform() * ball.coordinate(self.radius), detached=True)
        change = clean.divergence(noisy) + noisy.divergence(clean)
        return forward.backward(clean.loss + self.weight * change, weight)
