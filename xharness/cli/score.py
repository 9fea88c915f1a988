"""`xharness score`: score a folder of predictions, without a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from xharness.cli.options import format_option, include_option, open_catalogue


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="Gold in the official layout.")
@click.option(
    "--data",
    "-d",
    help="Release folder with the gold.  [default: $XHARNESS_DATA, else the bundled sample]",
)
@click.option("--suite", "-s", default="xtreme-r", show_default=True, help="Suite.")
@click.option("--name", help="What to call the model.  [default: the folder's name]")
@format_option(
    "text",
    "markdown",
    "csv",
    "json",
    "official",
    help="`official` is the structure of the official scorer's output file.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="New run folder to write, for show, compare, report and export.",
)
@include_option
def command(
    predictions: Path,
    labels: Path | None,
    data: str | None,
    suite: str,
    name: str | None,
    form: str,
    output: Path | None,
    include: tuple[Path, ...],
) -> None:
    """Score the folder PREDICTIONS, which is in the official submission format: a folder for
    each task with a file test-LANGUAGE for each language.

    What is missing is named, averages that need it are withheld, and the exit code is 1.
    """
    from xharness.errors import Refused, XharnessError
    from xharness.results.score import LabelFolder, leftovers, score, write_scored_run
    from xharness.results.table import remarks, task_table
    from xharness.runner.context import data_name, open_source
    from xharness.runs.folder import RunFolder
    from xharness.runs.leaderboard import leaderboard

    if labels and data:
        raise XharnessError("--labels and --data both name the gold; name one of them")
    if output and output.exists():
        raise Refused(f"{output} exists and is not overwritten; name another folder")
    registry, catalogue = open_catalogue(include)
    card = catalogue.suite(suite)

    def evaluator(kind: str) -> object:
        return registry.get("evaluator", kind)()

    gold = str(labels) if labels else data_name(data)
    source = LabelFolder(labels, evaluator) if labels else open_source(gold, registry)
    called = name or predictions.resolve().name
    cells = score(
        predictions,
        source,
        card,
        catalogue.tasks,
        evaluator,
        lambda metric: registry.get("metric", metric),
        called,
    )
    records = [cell.record for cell in cells]
    if output:
        write_scored_run(RunFolder(output), cells, card, catalogue.tasks, gold)
    if form == "official":
        board = leaderboard(card, catalogue.tasks, records)
        del board["xharness"]
        click.echo(json.dumps(board, indent=2))
        for remark in remarks(records):
            click.echo(remark, err=True)
    else:
        table = task_table(f"{card.name} on {gold}", card, catalogue.tasks, records)
        click.echo(table.render(form))
    for remark in leftovers(predictions, card, catalogue.tasks):
        click.echo(remark, err=True)
    sys.exit(int(any(record.status != "ok" for record in records)))
