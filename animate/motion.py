"""A motion: where the points of a grid over a photo go, and where it may come from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trajectories import ClipTracks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from models.animation import Box

_ASPECT_TOLERANCE = 0.01


class TracksFileError(ValueError):
    """A file of trajectories that cannot be used: one line with the file and the remedy."""


@dataclass(frozen=True, eq=False)
class Motion:
    """How the points of a grid move over time, in pixels of one photo.

    The grid is that of the centres of equal cells of `frame`, and frame 0 is the photo itself.
    Raises ValueError for arrays that do not belong together and for values out of range.
    """

    tracks: Float[np.ndarray, "t 2 h w"]
    """float32; (x, y) in raster pixels of the photo."""
    visible: Float[np.ndarray, "t h w"] | Bool[np.ndarray, "t h w"]
    """float32, the probability that a point is seen, or bool."""
    frame: Box
    """The part of the photo that the grid covers, in its pixels; it may reach beyond it."""
    photo_size: tuple[int, int]
    """(width, height) of the photo, upright."""
    fps: float
    """Frames per second."""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)


def motion_for_photo(motion: Motion, photo_size: tuple[int, int]) -> Motion:
    """The motion in pixels of the photo at another size, (width, height).

    Raises TracksFileError when the proportions differ by more than a hundredth.
    """
    from models.animation import Box

    (width, height), (new_width, new_height) = motion.photo_size, photo_size
    if (width, height) == (new_width, new_height):
        return motion
    across, down = new_width / width, new_height / height
    # A side rounded to whole pixels is half a pixel off, which counts in thin pictures.
    slack = _ASPECT_TOLERANCE + 0.5 / min(width, height, new_width, new_height)
    if abs(math.log(across / down)) > slack:
        raise TracksFileError(
            f"the trajectories are of a photo of {width}x{height} pixels, this one has "
            f"{new_width}x{new_height}: give the photo that they were made for, or crop this one "
            "to the same proportions"
        )
    frame = motion.frame
    scale = np.array([across, down], np.float32)[:, None, None]
    return replace(
        motion,
        tracks=motion.tracks * scale,
        frame=Box(frame.x * across, frame.y * down, frame.width * across, frame.height * down),
        photo_size=(new_width, new_height),
    )


def motion_from_clip(clip: ClipTracks) -> Motion:
    """The motion in a clip of a dataset, for a photo that shows what its first frame shows.

    The tracker may see a point of the first frame a little beside its query point; all of its
    track is moved by that, so that the motion starts from the photo as it is.

    Raises TracksFileError when the query points are no regular grid in frame 0.
    """
    from models.animation import Box

    name, info = f"clip {clip.info.clip_id}", clip.info
    remedy = "choose a clip that was extracted with a grid in its first frame"
    if len(clip) == 0 or (clip.queries[:, 0] != 0).any():
        raise TracksFileError(f"{name}: not all of its query points are in frame 0: {remedy}")
    ys, row = np.unique(clip.queries[:, 1], return_inverse=True)
    xs, col = np.unique(clip.queries[:, 2], return_inverse=True)
    rows, cols = len(ys), len(xs)
    order = np.lexsort((col, row))
    index = row[order] * cols + col[order]
    regular = rows > 1 and cols > 1 and _evenly_spaced(ys) and _evenly_spaced(xs)
    if not regular or not np.array_equal(index, np.arange(rows * cols)):
        raise TracksFileError(f"{name}: its query points are no regular grid: {remedy}")
    start = clip.queries[:, None, [2, 1]]
    tracks = (clip.tracks - clip.tracks[:, :1] + start)[order]
    visible = clip.visible[order].astype(np.float32)
    visible[:, 0] = 1
    step_x, step_y = float(xs[-1] - xs[0]) / (cols - 1), float(ys[-1] - ys[0]) / (rows - 1)
    left, top = float(xs[0]) - step_x / 2, float(ys[0]) - step_y / 2
    try:
        return Motion(
            tracks=_by_time(tracks.reshape(rows, cols, -1, 2)),
            visible=_by_time(visible.reshape(rows, cols, -1)),
            frame=Box(left, top, step_x * cols, step_y * rows),
            photo_size=(info.width, info.height),
            fps=info.fps,
        )
    except ValueError as error:
        raise TracksFileError(f"{name}: {error}") from error


def _evenly_spaced(values: Float[np.ndarray, " n"]) -> bool:
    steps = np.diff(values)
    return bool(np.ptp(steps) <= 0.01 * steps.mean())


def _by_time(values: np.ndarray) -> np.ndarray:
    """[rows, cols, t, ...] to [t, ..., rows, cols], contiguous."""
    return np.ascontiguousarray(np.moveaxis(values, (0, 1), (-2, -1)), dtype=np.float32)


def _problem(motion: Motion) -> str | None:
    """What is wrong with a motion, and what to do about it."""
    tracks, visible, frame = motion.tracks, motion.visible, motion.frame
    if tracks.ndim != 4 or tracks.shape[1] != 2 or tracks.dtype != np.float32 or not tracks.size:
        return f"tracks are {tracks.dtype} {list(tracks.shape)}: must be float32 [t, 2, rows, cols]"
    if visible.shape != (len(tracks), *tracks.shape[2:]):
        return f"visible is {list(visible.shape)}: must be [t, rows, cols], as for the tracks"
    if visible.dtype not in (np.float32, np.bool_):
        return f"visible is {visible.dtype}: must be float32 or bool"
    if len(tracks) < 2:
        return f"holds {len(tracks)} frame: a motion needs two or more"
    unknown = int((~np.isfinite(tracks)).any(axis=1).sum())
    if unknown:
        return (
            f"{unknown} of {visible.size} positions are infinite or no numbers: give all, and mark "
            "points that are hidden by visible = 0"
        )
    if not ((visible >= 0) & (visible <= 1)).all():
        return "visible holds values that are not between 0 and 1: write 1 for seen, 0 for hidden"
    if min(motion.photo_size) < 1:
        return f"the size of the photo is {motion.photo_size}: both sides must be 1 pixel or more"
    box = (frame.x, frame.y, frame.width, frame.height)
    if not all(map(math.isfinite, box)) or frame.width <= 0 or frame.height <= 0:
        return f"the frame is {box}: it needs a width and a height above 0"
    if not 0.01 <= motion.fps <= 1000:
        return f"fps is {motion.fps:g}: must lie in 0.01 to 1000"
    return _displaced(motion)


def _displaced(motion: Motion) -> str | None:
    """Frame 0 is the photo. A cell of leeway is for what editing and trackers do."""
    rows, cols = motion.tracks.shape[2:]
    frame = motion.frame
    across, down = frame.width / cols, frame.height / rows
    x = frame.x + (np.arange(cols) + 0.5) * across
    y = frame.y + (np.arange(rows) + 0.5) * down
    far = np.abs(motion.tracks[0, 0] - x) > across
    far |= np.abs(motion.tracks[0, 1] - y[:, None]) > down
    if not far.any():
        return None
    return (
        f"{int(far.sum())} of {far.size} points do not start in their cells of the frame: frame 0 "
        "is the photo as it is, so let positions change from frame 1 on"
    )
