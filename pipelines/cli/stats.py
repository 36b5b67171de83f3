"""`tapirus stats`: what a dataset holds."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("stats")
@click.argument("dataset")
@click.option("--html", type=click.Path(), help="Write a page with plots, too.")
def command(dataset: str, html: str | None) -> None:
    """Count, size and histograms of DATASET."""
    import shutil

    from trajectories import dataset_statistics, open_dataset, stats_html, stats_text

    statistics = dataset_statistics(open_dataset(dataset))
    click.echo(stats_text(statistics, width=min(100, shutil.get_terminal_size((80, 24)).columns)))
    if html is not None:
        Path(html).write_text(stats_html(statistics), encoding="utf-8")
        click.echo(f"{html}: written")
