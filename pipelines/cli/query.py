"""`tapirus query`: SQL over a dataset."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pyarrow as pa


@click.command("query")
@click.argument("dataset")
@click.argument("sql")
@click.option("-o", "--output", help="Write .csv, .parquet, .json or .jsonl instead of a table.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Rows printed at most; a file gets all.",
)
def command(dataset: str, sql: str, output: str | None, limit: int) -> None:
    """Ask DATASET a question in SQL (DuckDB).

    Views: clips, tracks, failures; points has one row per track and frame. Helpers for one clip:
    clip_points(id), track_points(id, n), source_points(id); over all clips: visible_at(frame),
    in_box(x0, y0, x1, y1). `tapirus schema` lists all columns.

    \b
    tapirus query tracks "SELECT count(*) FROM tracks WHERE visible_fraction > 0.8"
    tapirus query tracks "SELECT clip_id, mean_speed FROM clips ORDER BY 2 DESC" -o fast.csv
    tapirus query tracks "SELECT * FROM track_points('3f…', 17)"

    A result wider than the terminal is printed with one value per line.
    """
    from trajectories import fetch_result, open_dataset, write_result

    relation = open_dataset(dataset).sql(sql)
    if output is not None:
        write_result(relation, output)
        click.echo(f"{output}: written")
        return
    print_table(fetch_result(relation, limit + 1), limit)


def print_table(table: pa.Table, limit: int) -> None:
    """A table for people, at most ``limit`` rows; in a pipe lines are as long as they need be."""
    from pipelines.cli.tables import format_table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(format_table(table.slice(0, limit), width))
    if len(table) > limit:
        note = f"… the first {limit} rows; --limit shows more, -o FILE writes all"
        click.echo(note, err=True)
    elif not len(table):
        click.echo("no rows", err=True)
