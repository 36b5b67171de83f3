"""`tapirus show`: the tracks of one clip of a dataset, drawn over its frames."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.cli.outputs import OutputFile, keep_source
from pipelines.render import IMAGE_SUFFIXES, save_image
from pipelines.video.write import SUFFIXES, write_video


@click.command("show")
@click.argument("dataset")
@click.argument("clip_id")
@click.option(
    "-o",
    "--output",
    required=True,
    type=OutputFile(*SUFFIXES, *IMAGE_SUFFIXES),
    help="A video (.mp4, .gif) or a contact sheet (.png, .jpg, .webp).",
)
@click.option(
    "--max-tracks",
    type=click.IntRange(min=1),
    help="Tracks drawn at most, evenly spread.  [default: 1024, in a picture 400]",
)
@click.option(
    "--tail",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Frames of fading tail in a video.",
)
def command(dataset: str, clip_id: str, output: str, max_tracks: int | None, tail: int) -> None:
    """Draw the tracks of CLIP_ID (or the start of it) of DATASET over its frames.

    A picture shows first, middle and last frame and whole trajectories. Colours follow the
    starting position; hollow points are hidden in that frame. The frames are read again from the
    video that was extracted.

    \b
    tapirus query tracks "SELECT clip_id, source, start_s FROM clips"
    tapirus show tracks 3f9a -o clip.mp4
    """
    from pipelines.pictures import clip_sheet, overlay
    from trajectories import open_dataset

    opened = open_dataset(dataset)
    clip = opened.clip(clip_id)
    keep_source(clip.info.source, output)
    if Path(output).suffix.lower() in IMAGE_SUFFIXES:
        max_tracks = max_tracks or 400
        save_image(output, clip_sheet(opened, clip, max_tracks=max_tracks))
    else:
        max_tracks = max_tracks or 1024
        frames = overlay(opened, clip, tail=tail, max_tracks=max_tracks)
        write_video(output, frames, clip.info.fps)
    shown = min(max_tracks, len(clip.tracks))
    share = "" if shown == len(clip.tracks) else f"{shown} of "
    click.echo(f"{output}: {share}{len(clip.tracks)} tracks of {clip.info.source}")
