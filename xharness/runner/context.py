"""From a request to its plan: cards, plugins and data brought together, once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

import msgspec

from xharness.cache import cache_folder
from xharness.cards import Catalogue, ModelCard, Recipe, TaskCard
from xharness.errors import CardError, Refused, XharnessError
from xharness.plugins.registry import Registry
from xharness.plugins.roles import Context, Phase, Source
from xharness.records import SAMPLE
from xharness.runner.plan import Plan, Request, evaluated, make_plan
from xharness.runs.folder import RunFolder
from xharness.training.settings import adversary, augmentation, completed

DATA_VARIABLE = "XHARNESS_DATA"


def data_name(given: str | None) -> str:
    """`--data`, else `$XHARNESS_DATA`, else the bundled sample."""
    return given or os.environ.get(DATA_VARIABLE) or SAMPLE


def open_source(name: str, registry: Registry) -> Source:
    """The source that `--data` names: a registered one, which may take a text after a colon, else
    a release folder."""
    reader = partial(registry.get, "reader")
    release: Any = registry.get("source", "release")
    registered, _, text = name.partition(":")
    if registered in registry.names("source") and registered != release.name:
        part: Any = registry.get("source", registered)
        takes = signature(part).parameters
        if text and "text" not in takes:
            raise XharnessError(
                f"--data {name!r}: source {registered!r} takes nothing after the colon"
            )
        given = {"reader": reader, "text": text}
        return part(**{key: given[key] for key in given if key in takes})  # type: ignore[no-any-return]
    if not Path(name).is_dir():
        raise XharnessError(
            f"--data {name!r} is no folder. Name a release folder, set {DATA_VARIABLE} to one, or "
            "take --data sample (the bundled one) or --data hub"
        )
    return release(Path(name), reader)  # type: ignore[no-any-return]


def prepare(
    request: Request,
    registry: Registry,
    catalogue: Catalogue,
    folder: RunFolder | None = None,
    *,
    download: bool = True,
) -> Plan:
    """The plan for a request; cells that are done in `folder` are marked so. Without `download` a
    backbone that is not here is named only: good enough to look at the plan."""
    if request.device not in ("auto", "cpu"):  # these are there, and need no torch to know it
        from xharness.inference.backbone import choose_device

        choose_device(request.device)
    if folder:
        _demand_same_run(request, folder)
    source = open_source(request.data, registry)
    contexts = [
        _context(request, catalogue, registry, source, seed, download) for seed in request.seeds
    ]
    return make_plan(
        request,
        catalogue.suite(request.suite),
        _model_cards(request, catalogue),
        catalogue.tasks,
        lambda name: registry.get("producer", name)(),
        contexts,
        folder,
    )


def _demand_same_run(request: Request, folder: RunFolder) -> None:
    """Raises Refused when the folder has a run of another suite, of other items, or when one of the
    two is on the bundled sample: new cells would take the places of others that nobody meant to
    lose."""
    if not folder.path.joinpath("run.json").exists():
        return
    held, new = folder.read_run().request, msgspec.to_builtins(request)
    same_items = all(held.get(key) == new[key] for key in ("suite", "split", "limit"))
    if same_items and (held.get("data") == SAMPLE) == (request.data == SAMPLE):
        return
    raise Refused(
        f"{folder.path} holds a run of {_told(held)}, and this one is of {_told(new)}; "
        "name another folder with --output"
    )


def _told(request: Mapping[str, Any]) -> str:
    limits = [f", {key} {request[key]}" for key in ("split", "limit") if request.get(key)]
    return f"{request.get('suite')} on {request.get('data')}{''.join(limits)}"


def _context(
    request: Request,
    catalogue: Catalogue,
    registry: Registry,
    source: Source,
    seed: int,
    download: bool,
) -> Context:
    def backbone(card: ModelCard) -> Any:
        from xharness.inference.backbone import load_backbone

        return load_backbone(
            _required(card, "backbone"),
            device=request.device,
            profile=card.profile,
            cache=cache_folder(),
            registered=registry.all("backbone"),
        )

    @lru_cache
    def identify_by_name(name: str) -> Mapping[str, Any]:
        from xharness.inference.identity import identify_backbone

        return identify_backbone(name, registry.all("backbone"), download=download)

    def identify(card: ModelCard) -> Mapping[str, Any]:
        if card.backbone is not None:
            return identify_by_name(card.backbone)
        return {"plugin": registry.plugin("producer", card.producer).label}

    def recipe(card: ModelCard, task: TaskCard | None, phase: str) -> Recipe:
        adjust = getattr(card.adjust, phase)
        return completed(catalogue.recipe(_required(card, "recipe"), task, adjust), registry)

    def on_step(phase: Phase, step: int, steps: int, loss: float) -> None:
        registry.hook.xharness_training_step(phase=phase, step=step, steps=steps, loss=loss)

    return Context(
        source=source,
        checkpoints=cache_folder() / "checkpoints",
        device=request.device,
        dtype=request.dtype,
        batch_tokens=request.batch_tokens,
        seed=seed,
        evaluated=lambda task, code: evaluated(source, task, code, request.split),
        tasks=catalogue.tasks,
        recipe=recipe,
        backbone=backbone,
        identify=identify,
        evaluator=lru_cache(lambda kind: registry.get("evaluator", kind)()),
        metric=lambda name: registry.get("metric", name),
        adversary=lambda recipe: adversary(recipe, registry),
        augmentation=lambda recipe: augmentation(recipe, registry),
        on_step=on_step,
    )


def _required(card: ModelCard, field: str) -> str:
    value = getattr(card, field)
    if value is None:
        raise CardError(
            f"model {card.name!r} names no {field}, which producer {card.producer!r} asks for; "
            f"add it to the card, or --{field}"
        )
    return str(value)


def _model_cards(request: Request, catalogue: Catalogue) -> list[ModelCard]:
    """The cards of the request's models, with its backbone and recipe in place of theirs."""
    changes = {"backbone": request.backbone, "recipe": request.recipe}
    given = {key: value for key, value in changes.items() if value}
    return [msgspec.structs.replace(catalogue.model(name), **given) for name in request.models]
