"""`tapirus query`: SQL over a dataset."""

from __future__ import annotations

import click
import pyarrow as pa


@click.command("query")
@click.argument("dataset")
@click.argument("sql")
@click.option("-o", "--output", help="Write .csv, .parquet, .json or .jsonl instead of a table.")
@click.option("--limit", type=int, default=40, show_default=True, help="Rows printed at most.")
def command(dataset: str, sql: str, output: str | None, limit: int) -> None:
    """Ask DATASET a question in SQL (DuckDB).

    Views: clips, tracks, failures; points has one row per track and frame. Helpers for one clip:
    clip_points(id), track_points(id, n), source_points(id). `tapirus schema` lists all columns.

    \b
    tapirus query tracks "SELECT count(*) FROM tracks WHERE visible_fraction > 0.8"
    tapirus query tracks "SELECT clip_id, mean_speed FROM clips ORDER BY 2 DESC" -o fast.csv
    tapirus query tracks "SELECT * FROM track_points('3f…', 17)"
    """
    from trajectories import fetch_result, open_dataset, write_result

    relation = open_dataset(dataset).sql(sql)
    if output is not None:
        write_result(relation, output)
        click.echo(f"{output}: written")
        return
    print_table(fetch_result(relation, limit + 1), limit)


def print_table(table: pa.Table, limit: int) -> None:
    """A table for people; at most ``limit`` rows."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for field in table.schema:
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        shown.add_column(field.name, justify="right" if numeric else "left", overflow="fold")
    for row in table.slice(0, limit).to_pylist():
        shown.add_row(*(_cell(value) for value in row.values()))
    Console(highlight=False, markup=False).print(shown)
    if len(table) > limit:
        click.echo(f"… the first {limit} rows; --limit shows more, -o FILE writes all")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
