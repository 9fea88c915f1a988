"""`xharness plugins`: what is installed, and why something is left out."""

from __future__ import annotations

import json

import click

from xharness.builtin import open_registry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the plugins with their hooks; absent ones with the reason."""
    registry = open_registry()
    registry.card_folders()  # a plugin that fails to name its folders is found out by asking
    plugins = registry.describe()
    if as_json:
        click.echo(json.dumps(plugins, indent=2))
        return
    for plugin in plugins:
        click.echo(
            f"{plugin['name']}  {plugin['distribution']} {plugin['version']}  {plugin['state']}"
        )
        click.echo(f"  {plugin['reason'] or ', '.join(plugin['hooks'])}")
