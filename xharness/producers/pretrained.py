"""Producer `pretrained`: models that were fine-tuned elsewhere, scored without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xharness.cards import ModelCard, TaskCard
from xharness.errors import CardError, MissingData, did_you_mean
from xharness.plugins.roles import Context, Phase, Produced, Producer


class Pretrained(Producer):
    """Takes the checkpoint that the card's option `checkpoints` names for a task: a Hugging Face
    id or a folder with weights, head and tokenizer. Retrieval tasks take its encoder."""

    name = "pretrained"

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        """Nothing is trained. Raises MissingData for a task without a checkpoint."""
        _checkpoint(card, task, context)
        return []

    def identify(self, card: ModelCard, task: TaskCard, context: Context) -> Mapping[str, Any]:
        return context.identify(_checkpoint(card, task, context))

    def produce(
        self, card: ModelCard, task: TaskCard, lineage: Sequence[Phase], context: Context
    ) -> Produced:
        import torch

        from xharness.inference.finetuned import CLASSES, FineTuned
        from xharness.inference.identity import local_folder
        from xharness.inference.network import Network
        from xharness.inference.predictor import predictor

        named = _checkpoint(card, task, context)
        asks = context.evaluator(task.kind).asks
        network: Any
        if asks in CLASSES:
            name = str(named.backbone)
            identity = context.identify(named)
            network = FineTuned(name, local_folder(name), identity, task, asks, context.device)
        else:
            network = Network(context.backbone(named), task, asks, seed=0, freeze_embeddings=True)
        if context.dtype == "bf16":
            network.module.to(torch.bfloat16)
        model = predictor(network, task, asks, context.batch_tokens)
        profile = network.backbone.profile
        return Produced(model, network.backbone.info, profile, {"gemm": model.gemm})


def _checkpoint(card: ModelCard, task: TaskCard, context: Context) -> ModelCard:
    """The card with the task's checkpoint as its backbone."""
    named = card.options.get("checkpoints")
    if not isinstance(named, dict) or list(card.options) != ["checkpoints"]:
        raise CardError(
            f"model {card.name!r}: producer 'pretrained' takes the one option `checkpoints`, a "
            "mapping from task to Hugging Face id or folder"
        )
    for name in named:
        if name not in context.tasks:
            hint = did_you_mean(name, context.tasks)
            raise CardError(f"model {card.name!r}: checkpoints names no task {name!r}.{hint}")
    if card.backbone or card.recipe:
        raise CardError(
            f"model {card.name!r} trains nothing: its checkpoints take no other backbone or recipe"
        )
    if task.name not in named:
        raise MissingData(f"model {card.name!r} names no checkpoint for {task.name}")
    return msgspec.structs.replace(card, backbone=str(named[task.name]))
