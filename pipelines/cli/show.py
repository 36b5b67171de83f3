"""`tapirus show`: the tracks of one clip of a dataset, drawn over its frames."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.render import IMAGE_SUFFIXES, save_image


@click.command("show")
@click.argument("dataset")
@click.argument("clip_id")
@click.option("-o", "--output", required=True, type=click.Path(), help=".mp4, .gif or .png sheet.")
@click.option("--max-tracks", type=int, default=1024, show_default=True, help="Drawn at most.")
@click.option("--tail", type=int, default=12, show_default=True, help="Frames of fading tail.")
def command(dataset: str, clip_id: str, output: str, max_tracks: int, tail: int) -> None:
    """Draw the tracks of CLIP_ID (or the start of it) of DATASET over its frames.

    A picture (.png) shows first, middle and last frame and whole trajectories. Colours follow the
    starting position; hollow points are hidden in that frame.

    \b
    tapirus show tracks 3f9a -o clip.mp4
    """
    from pipelines.pictures import clip_sheet, overlay
    from pipelines.video import write_video
    from trajectories import open_dataset

    opened = open_dataset(dataset)
    clip = opened.clip(clip_id)
    if Path(output).suffix.lower() in IMAGE_SUFFIXES:
        save_image(output, clip_sheet(opened, clip))
    else:
        frames = overlay(opened, clip, tail=tail, max_tracks=max_tracks)
        write_video(output, frames, clip.info.fps)
    click.echo(f"{output}: {len(clip.tracks)} tracks of {clip.info.source}")
