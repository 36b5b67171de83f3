"""`tapirus track`: one video, to look at."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from pipelines.cli.options import load_tracker, tracker_options
from pipelines.cli.outputs import OutputFile, keep_source
from pipelines.cli.points import check_points, parse_points
from pipelines.cli.progress import progress_bar
from pipelines.video.write import SUFFIXES

_AT_LEAST_ONE = click.IntRange(min=1)


@click.command("track")
@click.argument("video")
@click.option(
    "-o", "--output", required=True, type=OutputFile(*SUFFIXES), help="Overlay, .mp4 or .gif."
)
@click.option("--points", help='Query points "x,y@t;…" in pixels of the video and frame numbers.')
@click.option("--grid", type=_AT_LEAST_ONE, help="Points per side on frame 0.  [default: 16]")
@click.option(
    "--max-frames",
    type=_AT_LEAST_ONE,
    default=250,
    show_default=True,
    help="Frames tracked at most, from the start.",
)
@click.option(
    "--size",
    type=_AT_LEAST_ONE,
    default=256,
    show_default=True,
    help="Long side in pixels that the video is tracked at.",
)
@click.option(
    "--show-size",
    type=_AT_LEAST_ONE,
    default=720,
    show_default=True,
    help="Long side in pixels that it is drawn at.",
)
@click.option(
    "--tail",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Frames of fading tail.",
)
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
    """Track points through VIDEO, a path or URL, and draw them over its frames.

    Colours follow the starting position; hollow points are hidden in that frame. A point x,y@t is
    in pixels of the video, x to the right and y down from the upper left corner, on frame t.

    \b
    tapirus track clip.mp4 -o overlay.mp4
    tapirus track clip.mp4 --points "120,80@0;300.5,200@12" -o overlay.gif
    """
    from pipelines.render import draw_tracks
    from pipelines.video import read_video, write_video

    if points is not None and grid is not None:
        raise click.UsageError("give --points or --grid, not both")
    keep_source(video, output)
    asked = None if points is None else parse_points(points)
    shown = read_video(video, max_side=show_size, max_frames=max_frames)
    # One frame more than wanted tells whether there are more.
    small = read_video(video, max_side=size, max_frames=max_frames + 1).frames
    if shown.error is not None:
        click.echo(f"tapirus: {shown.error}; going on with the frames before", err=True)
    if len(small) > max_frames:
        small = small[:max_frames]
        click.echo(f"the first {max_frames} frames; --max-frames tracks more", err=True)
    num_frames, height, width = small.shape[:3]
    queries = _queries(video, asked, grid or 16, small)
    model = load_tracker(tracker, checkpoint, device, dtype)
    with progress_bar("tracking", "points") as advance:
        result = model.track(small, queries, progress=advance)
    scale = np.array([shown.frames.shape[2] / width, shown.frames.shape[1] / height], np.float32)
    frames = draw_tracks(
        shown.frames,
        result.tracks * scale,
        result.visible,
        tail=tail,
        starts=queries[:, [2, 1]] * scale,
    )
    write_video(output, frames, shown.fps)
    click.echo(
        f"{output}: {len(queries)} points through {num_frames} frames of {Path(video).name}, "
        f"visible {result.visible.mean():.0%} of the time"
    )


def _queries(video: str, asked: np.ndarray | None, grid: int, frames: np.ndarray) -> np.ndarray:
    """Query points in pixels of ``frames``, from points in pixels of the video or as a grid."""
    import models
    from pipelines.video import read_video

    num_frames, height, width = frames.shape[:3]
    if asked is None:
        return models.grid_queries(height, width, grid, grid)
    full_height, full_width = read_video(video, max_frames=1).frames.shape[1:3]
    check_points(asked, num_frames, full_height, full_width)
    return asked * np.array([1, height / full_height, width / full_width], np.float32)
