"""`xharness schema`: the JSON Schema of what is written."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", type=click.Choice(["cell", "run", "leaderboard", "gate", "baseline"]))
def command(name: str) -> None:
    """Print the JSON Schema of a kind of file."""
    from xharness.results.schema import json_schema

    click.echo(json_schema(name))
