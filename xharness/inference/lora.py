"""Low-rank updates (LoRA, arXiv 2106.09685) of a backbone's linear layers, by peft."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from xharness.cards import Lora
from xharness.errors import CardError


def add_updates(module: PreTrainedModel, lora: Lora, seed: int) -> None:
    """Puts new updates, which change nothing yet, beside the layers that the card names, and
    freezes all else. Raises CardError when the backbone has no such layer."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets or "all-linear",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, module)
        except ValueError as error:
            parts = module.named_modules()
            linear = {n.rsplit(".", 1)[-1] for n, p in parts if isinstance(p, torch.nn.Linear)}
            raise CardError(
                f"the recipe's lora.targets {lora.targets} fit no layer of "
                f"{type(module).__name__}, whose linear layers end in {', '.join(sorted(linear))}"
            ) from error


def merge_updates(module: PreTrainedModel) -> None:
    """Adds the updates to the weights, so that predicting costs no more than without them."""
    from peft.tuners.lora import LoraLayer

    for part in module.modules():
        if isinstance(part, LoraLayer):
            part.merge()
