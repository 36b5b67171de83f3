"""`tapirus schema`: the columns of a dataset."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """List the tables of a dataset, their columns and units."""
    from trajectories import describe

    click.echo(describe())
