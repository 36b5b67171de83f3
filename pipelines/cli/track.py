"""`tapirus track`: one video, to look at."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from pipelines.cli.options import tracker_options
from pipelines.cli.points import parse_points
from pipelines.cli.progress import progress_bar


@click.command("track")
@click.argument("video")
@click.option("-o", "--output", required=True, type=click.Path(), help="overlay .mp4 or .gif.")
@click.option("--points", help='Query points "x,y@t;…" in pixels of the video and frame numbers.')
@click.option("--grid", type=int, help="So many points per side on frame 0.  [default: 16]")
@click.option("--max-frames", type=int, default=250, show_default=True, help="Stop after so many.")
@click.option("--size", type=int, default=256, show_default=True, help="Long side tracked at.")
@click.option("--show-size", type=int, default=720, show_default=True, help="Long side drawn at.")
@click.option("--tail", type=int, default=12, show_default=True, help="Frames of fading tail.")
@tracker_options
def command(
    video: str,
    output: str,
    points: str | None,
    grid: int | None,
    max_frames: int,
    size: int,
    show_size: int,
    tail: int,
    tracker: str,
    checkpoint: str | None,
    device: str | None,
    dtype: str,
) -> None:
    """Track points through VIDEO and draw them over its frames.

    \b
    tapirus track clip.mp4 -o overlay.mp4
    tapirus track clip.mp4 --points "120,80@0;300.5,200@12" -o overlay.gif
    """
    import models
    from pipelines.render import draw_tracks
    from pipelines.video import read_video, write_video

    if points and grid:
        raise click.UsageError("give --points or --grid, not both")
    queries = None if points is None else parse_points(points)
    shown = read_video(video, max_side=show_size, max_frames=max_frames)
    small = read_video(video, max_side=size, max_frames=max_frames)
    if shown.error is not None:
        click.echo(f"tapirus: {shown.error}; going on with the frames before", err=True)
    num_frames, height, width = small.frames.shape[:3]
    if queries is None:
        queries = models.grid_queries(height, width, grid or 16, grid or 16)
    else:
        full = read_video(video, max_frames=1).frames.shape
        queries = queries * np.array([1, height / full[1], width / full[2]], np.float32)
    model = models.load_tracker(tracker, checkpoint, device, dtype)
    with progress_bar("tracking", "points") as advance:
        result = model.track(small.frames, queries, progress=advance)
    scale = np.array([shown.frames.shape[2] / width, shown.frames.shape[1] / height], np.float32)
    frames = draw_tracks(
        shown.frames,
        result.tracks * scale,
        result.visible,
        tail=tail,
        starts=queries[:, [2, 1]] * scale,
    )
    write_video(output, frames, shown.fps)
    share = result.visible.mean()
    click.echo(
        f"{output}: {len(queries)} points through {num_frames} frames of {Path(video).name}, "
        f"visible {share:.0%} of the time"
    )
