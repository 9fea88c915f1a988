"""`xharness list`: what the cards declare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xharness.cli.options import include_option, open_catalogue

if TYPE_CHECKING:
    from xharness.cards import Catalogue

Rows = list[dict[str, str]]


def _tasks(catalogue: Catalogue) -> Rows:
    return [
        {
            "name": task.name,
            "kind": task.kind,
            "languages": str(len(task.languages)),
            "metric": task.metric,
            "trained on": " ".join(task.train_on),
            "description": task.description,
        }
        for task in catalogue.tasks.values()
    ]


def _models(catalogue: Catalogue) -> Rows:
    return [
        {
            "name": model.name,
            "producer": model.producer,
            "backbone": model.backbone or "",
            "recipe": model.recipe or "",
            "description": model.description,
        }
        for model in catalogue.models.values()
    ]


def _suites(catalogue: Catalogue) -> Rows:
    return [
        {"name": suite.name, "tasks": " ".join(suite.tasks), "description": suite.description}
        for suite in catalogue.suites.values()
    ]


def _languages(catalogue: Catalogue) -> Rows:
    from xharness.data.languages import LANGUAGES

    rows = []
    for language in LANGUAGES.values():
        tasks = [n for s in catalogue.suites.values() for n in s.tasks]
        has = [n for n in dict.fromkeys(tasks) if language.code in catalogue.tasks[n].languages]
        rows.append(
            {
                "code": language.code,
                "name": language.name,
                "family": language.family,
                "script": language.script,
                "resources": language.resources,
                "tasks": " ".join(has),
            }
        )
    return rows


def _recipes(catalogue: Catalogue) -> Rows:
    return [
        {"name": recipe.name, "extends": recipe.extends or "", "description": recipe.description}
        for recipe in catalogue.recipes.values()
    ]


LISTS: dict[str, Callable[[Catalogue], Rows]] = {
    "tasks": _tasks,
    "models": _models,
    "recipes": _recipes,
    "suites": _suites,
    "languages": _languages,
}


@click.command()
@click.argument("what", type=click.Choice(list(LISTS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@include_option
def command(what: str, as_json: bool, include: tuple[Path, ...]) -> None:
    """List tasks, models, recipes, suites or languages."""
    from xharness.results.table import Table

    _, catalogue = open_catalogue(include)
    rows = LISTS[what](catalogue)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    heads = list(rows[0])
    click.echo(Table(what, heads, [[row[h] for h in heads] for row in rows]).text())
