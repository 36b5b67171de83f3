"""`tapirus demo`: the main job from videos to pictures, as `make demo` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.render import DemoClip
    from trajectories import ClipTracks

_QUERY = """\
SELECT regexp_extract(source, '[^/]*$') AS video, round(start_s, 1) AS start,
       num_tracks AS tracks, round(mean_speed, 2) AS px_per_frame,
       round(moving_fraction, 2) AS moving, round(visible_fraction, 2) AS visible, clip_id
FROM clips WHERE visible_fraction > 0.5 ORDER BY mean_speed DESC LIMIT 10"""


@click.command("demo")
@click.argument("videos", nargs=-1)
@click.option("-o", "--output", default="out/demo", show_default=True, help="Folder for results.")
@click.option(
    "--grid",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Query points per side.",
)
def command(videos: tuple[str, ...], output: str, grid: int) -> int:
    """Extract one clip of each of VIDEOS, then show statistics, a query and pictures.

    Without VIDEOS a short clip with known motion is rendered and its tracks are compared with the
    truth.
    """
    from pipelines.cli.query import print_table
    from pipelines.cli.stats import write_page
    from pipelines.extract import ExtractSettings, run_extract
    from pipelines.extract.progress import default_progress
    from pipelines.pictures import dataset_sheet, overlay
    from pipelines.render import demo_clip, save_image
    from pipelines.video import ClipSettings, write_video
    from trajectories import dataset_statistics, fetch_result, open_dataset, stats_text

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    truth = None
    if not videos:
        truth = demo_clip()
        rendered = folder / "rendered.mp4"
        write_video(rendered, truth.video, truth.fps)
        click.echo(f"no videos given: rendered {rendered}, a clip with known motion")
        videos = (str(rendered),)
    settings = ExtractSettings(grid=grid, clip=ClipSettings(max_clips=1))
    dataset_path = str(folder / "dataset")
    click.echo(
        f"\n== tapirus extract {' '.join(videos)} -o {dataset_path} --grid {grid} --max-clips 1"
    )
    with default_progress() as progress:
        summary = run_extract(list(videos), dataset_path, settings, progress=progress)
    click.echo(summary.text())
    if not summary.total_clips:
        return 1
    dataset = open_dataset(dataset_path)
    statistics = dataset_statistics(dataset)
    click.echo(f"\n== tapirus stats {dataset_path}\n{stats_text(statistics, width=90)}")
    write_page(statistics, str(folder / "stats.html"))
    click.echo(f'\n== tapirus query {dataset_path} "{_QUERY}"')
    table = fetch_result(dataset.sql(_QUERY))
    print_table(table, 10)

    found = table["clip_id"].to_pylist()
    clip = dataset.clip(found[0]) if found else next(iter(dataset))
    write_video(folder / "overlay.mp4", overlay(dataset, clip), clip.info.fps)
    save_image(folder / "contact_sheet.png", dataset_sheet(dataset, max_clips=8))
    click.echo("\n== results")
    for name, what in (
        ("overlay.mp4", "tracks over the clip that the query names first"),
        ("contact_sheet.png", "first, middle and last frame, and trajectories"),
        ("stats.html", "histograms"),
        ("dataset", "Parquet files, see docs/dataset.md"),
    ):
        click.echo(f"{folder / name}   {what}")
    if truth is not None:
        _compare(truth, clip)
    return 0


def _compare(truth: DemoClip, clip: ClipTracks) -> None:
    """Says how far the extracted tracks are from the known motion."""
    import numpy as np

    start = round(clip.info.start_s * truth.fps)
    queries = clip.queries + np.array([start, 0, 0], np.float32)
    tracks, visible = truth.truth(queries)
    window = slice(start, start + clip.info.num_frames)
    both = visible[:, window] & clip.visible
    error = np.linalg.norm(tracks[:, window] - clip.tracks, axis=-1)[both]
    click.echo(
        f"against the known motion: median error {np.median(error):.2f} px, "
        f"{(error < 4).mean():.0%} within 4 px"
    )
