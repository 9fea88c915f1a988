"""Several tasks on one backbone: what a mixture trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from xharness.inference.network import Example, Network, Outputs
from xharness.inference.packing import Edit


class Joint(nn.Module):
    """Networks on the same backbone, each with the head of its task; a pass uses the head that its
    examples are for, which all have the same `task`. Of the networks the first
    alone has frozen embeddings or added low-rank updates, to the backbone that all share."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.networks = tuple(networks)  # not registered: their parameters are those below
        self.backbone = networks[0].backbone
        self.lora = networks[0].lora
        self.module = networks[0].module
        self.head = nn.ModuleList(network.head for network in networks)
        self.batchable = all(network.batchable for network in networks)

    @property
    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of the heads."""
        parts = [network.facts for network in self.networks]
        return {"task": "+".join(part["task"] for part in parts), "kind": "mixture", "parts": parts}

    parameter_groups = Network.parameter_groups

    @property
    def special_ids(self) -> frozenset[int]:
        return self.networks[0].special_ids

    def forward(self, examples: Sequence[Example], edit: Edit | None = None) -> Outputs:
        """As `Network.forward`."""
        return self.networks[examples[0].task](examples, edit)  # type: ignore[no-any-return]
