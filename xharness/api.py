"""The two calls that do what the commands `eval` and `train` do, without printing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.errors import XharnessError
from xharness.plugins.registry import Registry
from xharness.records import DEFAULT_SEED, CellRecord
from xharness.runner import run as runner
from xharness.runner.context import data_name, prepare
from xharness.runner.plan import Plan, Request
from xharness.runs.folder import RunFolder


def evaluate(
    output: str | Path,
    *,
    models: Sequence[str] = ("standard",),
    include: Sequence[str | Path] = (),
    **request: object,
) -> list[CellRecord]:
    """Evaluates models and returns the records of all cells that were asked for.

    output   the run folder; cells that are done in it are not run again.
    include  folders with more cards.
    request  what else `xharness.runner.plan.Request` holds: suite, tasks, languages, data,
             limit, seeds, split, backbone, recipe, train, checkpoints, device, dtype, batch_tokens.
    """
    folder = RunFolder(Path(output))
    plan, registry = _plan(models, include, request, folder)
    plan.require_checkpoints()
    with folder.locked():
        for _ in runner.run(plan, folder, registry):
            pass
    records = (folder.read_cell(cell.id) for cell in plan.cells)
    return [record for record in records if record is not None]


def train(
    *,
    models: Sequence[str] = ("standard",),
    include: Sequence[str | Path] = (),
    **request: object,
) -> int:
    """Trains what the models lack, and returns the number of trainings."""
    plan, registry = _plan(
        models, include, {**request, "train": "missing", "checkpoints": "trained"}, None
    )
    return runner.train(plan, registry)


def _plan(
    models: Sequence[str],
    include: Sequence[str | Path],
    request: dict[str, object],
    folder: RunFolder | None,
) -> tuple[Plan, Registry]:
    registry = open_registry()
    folders = [Path(folder) for folder in include]
    if absent := [str(folder) for folder in folders if not folder.is_dir()]:
        raise XharnessError(f"include names no folder: {', '.join(absent)}")
    catalogue = Catalogue.load([*registry.card_folders(), *folders])
    whole: dict[str, Any] = {"suite": "xtreme-r", "seeds": [DEFAULT_SEED], "data": None, **request}
    whole["data"] = data_name(whole["data"])
    try:
        asked = msgspec.convert({**whole, "models": models}, Request)
    except msgspec.ValidationError as error:
        raise XharnessError(f"what is asked for does not read: {error}") from error
    return prepare(asked, registry, catalogue, folder), registry
