"""Producer `standard`: fine-tune on a task's English training data, phase after phase."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
from filelock import FileLock

from xharness.cards import ModelCard, Recipe, TaskCard, digest
from xharness.errors import CardError, MissingData
from xharness.plugins.roles import Context, Phase, Produced, Producer

# Part of every address: raise it when training changes what comes out of the same inputs.
TRAINING_VERSION = 1
SOURCE_LANGUAGE = "en"


class Standard(Producer):
    """Trains on the tasks that a task card (or the model card, for that task) names in
    `train_on`, one phase each, and evaluates the last one's model.

    A head is carried on where the next phase asks for the same with the same labels, as in the
    official Social IQa -> COPA chain (google-research/xtreme, scripts/train_xcopa.sh); else it
    is new.
    Retrieval tasks use the encoder of the last phase, whatever its head was.
    """

    name = "standard"

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        if card.backbone is None:
            raise CardError(
                f"model {card.name!r} names no backbone, which producer {self.name!r} asks for; "
                "add it to the card, or --backbone"
            )
        phases: list[Phase] = []
        for name in card.train_on.get(task.name, task.train_on):
            trained_on = context.tasks[name]
            phases.append(_phase(card, task, trained_on, phases, context))
        if phases:
            _check_fits(card, phases[-1].task, task, context)
        return phases

    def train(self, card: ModelCard, lineage: Sequence[Phase], context: Context) -> None:
        from xharness.inference import checkpoint
        from xharness.inference.network import Network
        from xharness.inference.predictor import predictor
        from xharness.training.loop import stream, train

        *before, phase = lineage
        folder = checkpoint_folder(context.checkpoints, phase.address)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if folder.is_dir():  # another process trained it while this one waited
                return
            evaluator = context.evaluator(phase.task.kind)
            network = Network(
                context.backbone(card),
                phase.task,
                evaluator.asks,
                seed=stream(phase.seed, "head"),
                freeze_embeddings=phase.recipe.freeze_embeddings,
                lora=phase.recipe.lora,
            )
            if before:
                previous = before[-1]
                checkpoint.load(
                    checkpoint_folder(context.checkpoints, previous.address),
                    network,
                    head=_same_head(previous.task, phase.task, context),
                )
            data = context.source.load(phase.task, "train", SOURCE_LANGUAGE)
            items = list(data.items)
            if augmentation := context.augmentation(phase.recipe):
                items = augmentation.augment(items, stream(phase.seed, "augmentation"))
            examples = network.examples(
                items, phase.recipe, random.Random(stream(phase.seed, "examples"))
            )
            dev_score = None
            if phase.recipe.select == "dev":
                dev = context.source.load(phase.task, "dev", SOURCE_LANGUAGE)

                def dev_score() -> float:
                    # A new predictor each time: an old one remembers the old weights' outputs.
                    model = predictor(network, phase.task, evaluator.asks, context.batch_tokens)
                    metric = context.metric(phase.task.metric)
                    values = evaluator.evaluate(model, dev, phase.task, metric).values
                    return sum(values[v] for v in phase.task.score) / len(phase.task.score)

            facts = train(
                network,
                examples,
                phase.recipe,
                adversary=context.adversary(phase.recipe),
                seed=phase.seed,
                state=folder.with_suffix(".state"),
                dev_score=dev_score,
                on_step=lambda step, steps, loss: context.on_step(phase, step, steps, loss),
            )
            description = {
                "address": phase.address,
                "lineage": [describe(p) for p in lineage],
                "training": {**facts, "items": len(items)},
            }
            checkpoint.save(folder, network, description)

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
        trained_on = last.task if last else task
        network = Network(
            backbone,
            trained_on,
            context.evaluator(trained_on.kind).asks,
            seed=0,
            freeze_embeddings=last.recipe.freeze_embeddings if last else True,
            lora=last.recipe.lora if last else None,
        )
        weights: str = backbone.info["weights_sha256"]
        if last:
            folder = checkpoint_folder(context.checkpoints, last.address)
            trained = checkpoint.load(folder, network)["weights_sha256"]
            weights = digest([weights, trained])
        if network.lora:
            merge_updates(network.module)
        if context.dtype == "bf16":
            network.module.to(torch.bfloat16)
        asks = context.evaluator(task.kind).asks
        model = predictor(network, task, asks, context.batch_tokens)
        machine = {"gemm": model.gemm}
        return Produced(model, backbone.info, backbone.profile, machine, weights)


def checkpoint_folder(checkpoints: Path, address: str) -> Path:
    """Where the checkpoint with this address lies; half the digest is unique enough."""
    return checkpoints / address[:32]


def describe(phase: Phase) -> dict[str, object]:
    """The phase as plain values, for a checkpoint's description."""
    return {
        "task": phase.task.name,
        "recipe": msgspec.to_builtins(phase.recipe),
        "seed": phase.seed,
        "address": phase.address,
        "files": [file.path for file in phase.files],
        "notes": list(phase.notes),
    }


def _phase(
    card: ModelCard, task: TaskCard, trained_on: TaskCard, before: list[Phase], context: Context
) -> Phase:
    train = context.source.load(trained_on, "train", SOURCE_LANGUAGE)
    recipe = context.recipe(card, trained_on)
    files, notes = list(train.files), list(train.notes)
    if augmentation := context.augmentation(recipe):
        files.extend(augmentation.files())
    if recipe.select == "dev":
        recipe, why = _selection(recipe, task, trained_on, context)
        if why:
            notes.append(why)
        else:
            files.extend(context.source.load(trained_on, "dev", SOURCE_LANGUAGE).files)
    address = digest(
        {
            "version": TRAINING_VERSION,
            "backbone": context.identify(card),
            "profile": card.profile,
            "kind": trained_on.kind,
            "labels": trained_on.labels,
            "preprocessing": trained_on.preprocessing,
            "recipe": recipe,
            "seed": context.seed,
            "files": [file.sha256 for file in files],
            "before": before[-1].address if before else None,
        }
    )
    trained = checkpoint_folder(context.checkpoints, address).is_dir()
    return Phase(trained_on, recipe, context.seed, address, files, notes, trained)


def _selection(
    recipe: Recipe, task: TaskCard, trained_on: TaskCard, context: Context
) -> tuple[Recipe, str]:
    """The recipe, and why it can't select on dev where it can't."""
    last = msgspec.structs.replace(recipe, select="last")
    try:
        dev = context.source.load(trained_on, "dev", SOURCE_LANGUAGE)
    except MissingData:
        return last, "last weights taken: there is no dev split to select on"
    evaluated = context.evaluated(task, SOURCE_LANGUAGE)
    if evaluated and {f.sha256 for f in evaluated.files} & {f.sha256 for f in dev.files}:
        return last, "last weights taken: the dev split is evaluated, so it is not selected on"
    return recipe, ""


def _same_head(one: TaskCard, other: TaskCard, context: Context) -> bool:
    if one.kind == other.kind:  # evaluators import heavy libraries; planning seldom needs one
        return one.labels == other.labels
    asked = {context.evaluator(task.kind).asks for task in (one, other)}
    return len(asked) == 1 and one.labels == other.labels


def _check_fits(card: ModelCard, trained: TaskCard, task: TaskCard, context: Context) -> None:
    if _same_head(trained, task, context) or context.evaluator(task.kind).asks == "embed":
        return
    raise CardError(
        f"model {card.name!r} can't be evaluated on {task.name!r} ({task.kind}, "
        f"labels {task.labels}): its last phase is {trained.name!r} ({trained.kind}, "
        f"labels {trained.labels})"
    )
