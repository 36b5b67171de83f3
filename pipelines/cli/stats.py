"""`tapirus stats`: what a dataset holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trajectories import DatasetStatistics


@click.command("stats")
@click.argument("dataset")
@click.option("--html", type=click.Path(), help="Write a page with plots, too.")
def command(dataset: str, html: str | None) -> None:
    """Counts, sizes and histograms of DATASET, a folder or URL.

    \b
    tapirus stats tracks --html stats.html
    """
    import shutil

    from trajectories import dataset_statistics, open_dataset, stats_text

    statistics = dataset_statistics(open_dataset(dataset))
    click.echo(stats_text(statistics, width=min(100, shutil.get_terminal_size((80, 24)).columns)))
    if html is not None:
        write_page(statistics, html)
        click.echo(f"{html}: written")


def write_page(statistics: DatasetStatistics, path: str) -> None:
    """The page of statistics, whole or not at all. Raises StorageError."""
    from trajectories import stats_html
    from trajectories.storage import connect

    target = Path(path)
    connect(str(target.parent)).write(target.name, stats_html(statistics).encode())
