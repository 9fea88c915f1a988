"""Producer `standard`: fine-tune on a task's English training data, phase after phase."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xharness.cards import ModelCard, TaskCard, digest
from xharness.errors import CardError
from xharness.plugins.roles import Context, Phase, Produced, Producer
from xharness.producers.lineage import (
    asked,
    checkpoint_folder,
    describe,
    load_items,
    same_head,
    target_phases,
)

if TYPE_CHECKING:
    from xharness.inference.joint import Joint
    from xharness.inference.network import Example, Network


class Standard(Producer):
    """Trains on the tasks that a task card (or the model card, for that task) names in
    `train_on`, one phase each, and evaluates the last one's model. Retrieval tasks use the encoder
    of the last phase, whatever its head was.
    """

    name = "standard"

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        if card.intermediate:
            raise CardError(
                f"model {card.name!r} has an intermediate phase, which producer {self.name!r} has "
                "not; write producer: stilts"
            )
        if card.adjust.intermediate:
            raise CardError(
                f"model {card.name!r} adjusts an intermediate phase, which producer {self.name!r} "
                "has not; write adjust: {target: RECIPE}"
            )
        return target_phases(card, task, [], context)

    def train(self, card: ModelCard, lineage: Sequence[Phase], context: Context) -> None:
        from xharness.inference import checkpoint
        from xharness.training import processes
        from xharness.training.adversaries.by_task import ByTask
        from xharness.training.loop import train

        *before, phase = lineage
        folder = checkpoint_folder(context.checkpoints, phase.address)
        state = folder.with_suffix(".state")
        folder.parent.mkdir(parents=True, exist_ok=True)

        def on_step(step: int, steps: int, loss: float) -> None:
            if processes.is_first():
                context.on_step(phase, step, steps, loss)

        with processes.first_locks(folder.with_suffix(".lock")):
            if processes.first_says(folder.is_dir()):  # trained elsewhere while this one waited
                return
            network, networks = _new_network(card, phase, context)
            if before:
                previous = checkpoint_folder(context.checkpoints, before[-1].address)
                checkpoint.load(previous, network, head=phase.keeps_head)
            examples = _examples(networks, phase, context)
            facts = train(
                network,
                examples,
                phase.recipe,
                adversary=ByTask([context.adversary(part.recipe) for part in phase.parts]),
                seed=phase.seed,
                state=state,
                dev_score=_dev_score(networks, phase, context),
                on_step=on_step,
                parts=phase.parts if len(phase.parts) > 1 else (),
            )
            description = {
                "address": phase.address,
                "lineage": [describe(p) for p in lineage],
                "training": {**facts, "examples": len(examples)},
            }
            if processes.is_first():
                checkpoint.save(folder, network, description)
                for left in (state, state.with_suffix(".tmp")):
                    left.unlink(missing_ok=True)
            processes.wait_for_all()

    def produce(
        self, card: ModelCard, task: TaskCard, lineage: Sequence[Phase], context: Context
    ) -> Produced:
        import torch

        from xharness.inference import checkpoint
        from xharness.inference.lora import merge_updates
        from xharness.inference.network import Network
        from xharness.inference.predictor import predictor

        backbone = context.backbone(card)
        last = lineage[-1] if lineage else None
        network = Network(
            backbone,
            task,
            asked(task, context),
            seed=0,
            freeze_embeddings=last.recipe.freeze_embeddings if last else True,
            lora=last.recipe.lora if last else None,
        )
        weights: str = backbone.info["weights_sha256"]
        if last:
            head = len(last.parts) == 1 and same_head(last.task, task, context)
            folder = checkpoint_folder(context.checkpoints, last.address)
            trained = checkpoint.load(folder, network, head=head)["weights_sha256"]
            weights = digest([weights, trained])
        if network.lora:
            merge_updates(network.module)
        if context.dtype == "bf16":
            network.module.to(torch.bfloat16)
        model = predictor(network, task, network.asks, context.batch_tokens)
        machine = {"gemm": model.gemm}
        return Produced(model, backbone.info, backbone.profile, machine, weights)


def _new_network(
    card: ModelCard, phase: Phase, context: Context
) -> tuple[Network | Joint, list[Network]]:
    """What is trained, with new heads, and the network of each part of the phase."""
    from xharness.inference.joint import Joint
    from xharness.inference.network import Network
    from xharness.training.streams import stream

    backbone, recipe = context.backbone(card), phase.recipe
    networks = [
        Network(
            backbone,
            part.task,
            asked(part.task, context),
            seed=stream(phase.seed, "head", *([number] if number else [])),
            freeze_embeddings=recipe.freeze_embeddings and not number,
            lora=None if number else recipe.lora,
        )
        for number, part in enumerate(phase.parts)
    ]
    return (Joint(networks) if len(networks) > 1 else networks[0]), networks


def _examples(networks: Sequence[Network], phase: Phase, context: Context) -> list[Example]:
    from dataclasses import replace

    from xharness.training.streams import stream

    examples = []
    for number, (network, part) in enumerate(zip(networks, phase.parts, strict=True)):
        name = ("examples", *([number] if number else []))
        items = [i for data in load_items(part, part.split, context) for i in data.items]
        if augmentation := context.augmentation(part.recipe):
            own = ("augmentation", *([number] if number else []))
            items = augmentation.augment(items, stream(phase.seed, *own))
        made = network.examples(items, part.recipe, random.Random(stream(phase.seed, *name)))
        examples += [replace(example, task=number) for example in made]
    return examples


def _dev_score(
    networks: Sequence[Network], phase: Phase, context: Context
) -> Callable[[], float] | None:
    """The mean over the phase's tasks (and their languages) of the dev score, if it selects."""
    from xharness.inference.predictor import predictor

    if phase.recipe.select != "dev":
        return None
    parts = list(zip(networks, phase.parts, strict=True))
    dev = [(n, p.task, data) for n, p in parts for data in load_items(p, "dev", context)]

    def score() -> float:
        scores = []
        for network, task, data in dev:
            # A new predictor each time: an old one remembers the old weights' outputs.
            model = predictor(network, task, network.asks, context.batch_tokens)
            metric = context.metric(task.metric)
            values = context.evaluator(task.kind).evaluate(model, data, task, metric).values
            scores += [sum(values[v] for v in task.score) / len(task.score)]
        return sum(scores) / len(scores)

    return score
