"""The network as an adversary sees it: counted passes, and the balls around micro-batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property

import torch
from torch import Tensor

from xharness.cards import Recipe
from xharness.inference.joint import Joint
from xharness.inference.network import Example, Network, Outputs
from xharness.inference.packing import Edit
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.ball import Ball


class Forward:
    """Passes of `network` in the recipe's precision.

    tally   totals of the training so far: passes by kind, and what balls count.
    random  the stream of this step's attacks; the loop renews it each step, so that neither data
            order nor dropout depends on what an attack draws.
    """

    def __init__(self, network: Network | Joint, recipe: Recipe) -> None:
        self.network = network
        self.dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
        self.tally: dict[str, float] = {}
        self.random = random.Random(0)

    def __call__(self, batch: Sequence[Example], edit: Edit | None = None) -> Outputs:
        """One pass; `edit` changes the word embeddings (T, E) of the batch's tokens."""
        self.count("forward_passes")
        low = self.dtype is not torch.float32
        device = self.network.module.device.type
        with torch.autocast(device, dtype=self.dtype) if low else nullcontext():
            outputs: Outputs = self.network(batch, edit)
        return outputs

    def backward(self, loss: Tensor, weight: float) -> float:
        """Adds the gradient of `loss` * `weight` to the parameters' gradients (and to that of a
        perturbation that asks for one); returns the product."""
        self.count("backward_passes")
        (loss * weight).backward()
        return float(loss.detach()) * weight

    def gradient(self, loss: Tensor, delta: Tensor) -> Tensor:
        """The gradient of `loss` with respect to a perturbation alone; the parameters' gradients
        are neither computed nor touched."""
        self.count("perturbation_gradients")
        (gradient,) = torch.autograd.grad(loss, delta)
        return gradient

    def noise_seeds(self, batch: Sequence[Example]) -> list[int]:
        """One for each sequence, in the order of the batch: in other micro-batches, or in another
        process, a sequence gets the same noise."""
        return [self.random.getrandbits(60) for example in batch for _ in example.sequences]

    def ball(self, batch: Sequence[Example], method: Perturbing) -> Ball:
        """Perturbations of the batch's word embeddings, in the units of `method`."""
        return Ball(self, batch, method)

    def count(self, name: str, number: float = 1) -> None:
        self.tally[name] = self.tally.get(name, 0) + number

    @cached_property
    def token_norm(self) -> float:
        """The mean L2 norm of the word embeddings over the vocabulary. The loop asks for it before
        it restores anything, so that a resumed training measures the same."""
        table = self.network.module.get_input_embeddings()
        ids = torch.arange(table.weight.shape[0], device=table.weight.device)
        # Through the module, since some scale what they look up; in parts that fit the cache.
        with torch.no_grad():
            norms = [table(part).float().norm(dim=-1) for part in ids.split(1024)]
        return float(torch.cat(norms).mean())

    def facts(self) -> dict[str, float]:
        """The tally as records tell it: totals, and means over sequences where there are any."""
        facts = dict(self.tally)
        perturbed, norms = facts.get("perturbed_sequences"), facts.pop("perturbation_norms", 0)
        ascents, clipped = facts.get("ascents"), facts.pop("clipped_ascents", 0)
        if perturbed:
            facts |= {"perturbation_norm": norms / perturbed, "token_norm": self.token_norm}
        if ascents:
            facts["clipped_share"] = clipped / ascents
        return facts
