"""`xharness data`: what a release folder holds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xharness.cli.options import (
    data_option,
    include_option,
    offline_option,
    open_catalogue,
    split_commas,
)

if TYPE_CHECKING:
    from xharness.data.check import Row


@click.group()
def command() -> None:
    """Look at a release folder."""


@command.command()
@data_option
@click.option("--tasks", "-t", multiple=True, help="Only these tasks; repeat or use commas.")
@click.option("--verbose", "-v", is_flag=True, help="A line for each language, with its files.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as JSON.")
@offline_option
@include_option
def check(
    data: str | None,
    tasks: tuple[str, ...],
    verbose: bool,
    as_json: bool,
    include: tuple[Path, ...],
) -> None:
    """Say what is found, missing, stripped, a stand-in, cut or ambiguous.

    Exit code 1 when a file is broken or ambiguous; missing data is no fault.
    """
    from xharness.data.check import check as check_source
    from xharness.runner.context import data_name, open_source
    from xharness.runner.plan import select

    registry, catalogue = open_catalogue(include)
    names = select("task", split_commas(tasks), list(catalogue.tasks))
    source = open_source(data_name(data), registry)
    rows = check_source(source, [catalogue.tasks[name] for name in names])
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        lines = _each(rows) if verbose else _summary(rows)
        click.echo("\n".join(lines))
    sys.exit(int(any(row.state in ("broken", "ambiguous") for row in rows)))


def _each(rows: list[Row]) -> list[str]:
    return [
        f"{row.task} {row.split} {row.language}: {row.state}, {row.items:,} items"
        f"{''.join(f'; {text}' for text in (*row.files, *row.notes))}"
        for row in rows
    ]


def _summary(rows: list[Row]) -> list[str]:
    """A line for each task and split, then what is wrong with which language."""
    lines: list[str] = []
    for task, split in dict.fromkeys((row.task, row.split) for row in rows):
        group = [row for row in rows if (row.task, row.split) == (task, split)]
        found = [row for row in group if row.state == "ok"]
        items = sum(row.items for row in found)
        lines.append(f"{task} {split}: {len(found)} of {len(group)} languages, {items:,} items")
        said: dict[str, list[str]] = {}
        for row in group:
            for note in row.notes:
                text = note.split(":")[0] if note.startswith("cut") else note
                said.setdefault(text if row.state == "ok" else row.state, []).append(row.language)
        lines += [f"  {text}: {' '.join(dict.fromkeys(codes))}" for text, codes in said.items()]
        reasons = [row.notes[0] for row in group if row.state in ("broken", "ambiguous")]
        if not found:
            reasons += [row.notes[0] for row in group if row.state == "missing"]
        lines += [f"    {reasons[0]}"] if reasons else []
    return lines
