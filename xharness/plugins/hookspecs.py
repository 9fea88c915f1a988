"""All hooks in one place. Parts are asked for once, when one is first needed; events are told
as they happen and can't decide anything.

A plugin is a distribution with an entry point in the group `xharness` that names a module (or
object) with functions of these names, marked with `xharness.hookimpl`. It may say which version
of hooks and roles it was written for, `XHARNESS_API = 1`; one for another version is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pluggy

PROJECT = "xharness"
# Raised when a hook or a role changes so that plugins must change, too.
API = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def xharness_cards() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders with cards.

    When: once, before any card is looked up.
    Arguments: none.
    Return: folders; all `*.yaml` below are read. None or an empty list means no cards.
    Order: none; two cards with one name are refused.
    If it raises: the plugin is left out and listed with the reason by `xharness plugins`.
    Since: 0.1.
    """


@hookspec
def xharness_producers() -> Sequence[type]:  # type: ignore[empty-body]
    """Ways to make models.

    When: once, when the first producer is looked up.
    Arguments: none.
    Return: classes with a `name` that play `xharness.plugins.roles.Producer`, made without
        arguments once for each run. None means no producers.
    Order: none; two producers with one name are refused.
    If it raises: an error, since a producer was asked for; the message names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_evaluators() -> Sequence[type]:  # type: ignore[empty-body]
    """Evaluators, one for each kind of task.

    When: once, when the first evaluator is looked up.
    Arguments: none.
    Return: classes with `kind` and `asks` that play `xharness.plugins.roles.Evaluator`,
        made without arguments once for each run. None means no evaluators.
    Order: none; two evaluators of one kind are refused.
    If it raises: an error, since an evaluator was asked for; the message names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_metrics() -> Sequence[Any]:  # type: ignore[empty-body]
    """Metrics that task cards can name.

    When: once, when the first metric is looked up.
    Arguments: none.
    Return: callables with a `name` that play `xharness.plugins.roles.Metric`: pure functions of
        gold and predictions. None means no metrics.
    Order: none; two metrics with one name are refused.
    If it raises: an error, since a metric was asked for; the message names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_readers() -> Sequence[Any]:  # type: ignore[empty-body]
    """Readers of file formats that task cards can name.

    When: once, when the first file of a release folder is read.
    Arguments: none.
    Return: `xharness.plugins.roles.Reader`s: a name and a function that yields items. None means
        no readers.
    Order: none; two readers with one name are refused.
    If it raises: an error, since a reader was asked for; the message names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_sources() -> Sequence[type]:  # type: ignore[empty-body]
    """Places that data comes from.

    When: once, when `--data` is resolved.
    Arguments: none.
    Return: classes with a `name` that play `xharness.plugins.roles.Source`, made when `--data` is
        their name, or `NAME:TEXT`, with what they take of `reader`, the look-up of readers by
        name, and `text` (the source `release` with the folder before). None means no sources.
    Order: none; two sources with one name are refused.
    If it raises: an error that names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_backbones() -> Sequence[type]:  # type: ignore[empty-body]
    """Backbones with a name of their own, beside Hugging Face ids and local folders.

    When: once, when the first backbone is identified.
    Arguments: none.
    Return: classes with a `name`, `identify() -> Mapping` (id and digests, without loading) and
        `load(cache, device, profile) -> xharness.inference.backbone.Backbone`. None means none.
    Order: none; two backbones with one name are refused.
    If it raises: an error that names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_adversaries() -> Sequence[type]:  # type: ignore[empty-body]
    """Ways to train against perturbed inputs, for the `adversary` of a recipe.

    When: once, when the first recipe with an adversary is planned, and at the first training.
    Arguments: none.
    Return: frozen `msgspec.Struct` classes with a `name` that play
        `xharness.plugins.roles.Adversary`; their fields are the settings that a recipe may give
        and are part of a checkpoint's identity. None means no adversaries.
    Order: none; two adversaries with one name are refused.
    If it raises: an error that names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_augmentations() -> Sequence[type]:  # type: ignore[empty-body]
    """Ways to add changed copies of the training data, for the `augmentation` of a recipe.

    When: once, when the first recipe with an augmentation is planned.
    Arguments: none.
    Return: frozen `msgspec.Struct` classes with a `name` that play
        `xharness.plugins.roles.Augmentation`; their fields are the settings that a recipe may give
        and are part of a checkpoint's identity. None means no augmentations.
    Order: none; two augmentations with one name are refused.
    If it raises: an error that names the plugin.
    Since: 0.1.
    """


@hookspec
def xharness_run_started(plan: Any) -> None:
    """A run begins.

    When: once for each run, after the run's record is written.
    Arguments: plan, the `xharness.runner.plan.Plan`.
    Return: nothing; values are ignored.
    Order: none.
    If it raises: the run ends with that error; finished cells stay.
    Since: 0.1.
    """


@hookspec
def xharness_job_started(job: Any) -> None:
    """Cells that share one model begin, or a training for them.

    When: once for each job that has something to run, and for each training of `xharness train`.
    Arguments: job, the `xharness.runner.plan.Job`.
    Return: nothing; values are ignored.
    Order: none.
    If it raises: the run ends with that error; finished cells stay.
    Since: 0.1.
    """


@hookspec
def xharness_training_step(phase: Any, step: int, steps: int, loss: float) -> None:
    """A training step is done.

    When: after each optimiser step, many times a second for small models: be quick.
    Arguments: phase, the `xharness.plugins.roles.Phase`; step, from 1; steps, their number;
        loss, the mean over the step's batch.
    Return: nothing; values are ignored.
    Order: none.
    If it raises: the training fails with that error, and with it the cells that need it.
    Since: 0.1.
    """


@hookspec
def xharness_cell_finished(record: Any) -> None:
    """A cell's record is on disk, whether ok, failed or skipped.

    When: once for each cell that was not done already.
    Arguments: record, the `xharness.records.CellRecord`.
    Return: nothing; values are ignored.
    Order: none.
    If it raises: the run ends with that error; this and the finished cells stay.
    Since: 0.1.
    """


@hookspec
def xharness_run_finished(folder: Path) -> None:
    """All cells are done and the leaderboard is written.

    When: once at the end of a run that was not interrupted.
    Arguments: folder, the run folder's path.
    Return: nothing; values are ignored.
    Order: none.
    If it raises: the command fails with that error; the run folder is complete.
    Since: 0.1.
    """
