"""Random changes of a clip that keep its tracks true: mirroring, cropping, colours.

A crop is a window of the model frame, enlarged to the whole of it. Tracks must start on the grid of
the new frame, so the motion is read from the old grid at the places where the new points start.
Colours change the frames alone, all in the same way.

Time is not reversed. The last frame's points do not lie on a grid, what was uncovered on the way
has no track, and tracking backwards gives other occlusions: it would not be exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models import grid_queries
from pipelines.training.animation.clips import GridTracks
from pipelines.training.animation.config import AugmentConfig

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_TEAR = 0.75
"""Grid cells. Neighbours that come so far apart lie on different surfaces: no point lies between
them, so the nearer one is taken for it."""


@dataclass(frozen=True)
class Change:
    """One draw: the window in shares of the frame's side, and factors of the colours."""

    flip: bool = False
    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0


def draw_change(config: AugmentConfig, rng: np.random.Generator) -> Change:
    """A random change."""
    side = 1.0 if config.zoom == 0 else float(rng.uniform(1 / config.zoom, 1))
    left, top = rng.uniform(0, 1 - side, 2)

    def around(center: float, width: float) -> float:
        return float(center + rng.uniform(-width, width))

    return Change(
        flip=bool(rng.random() < config.flip),
        left=float(left),
        top=float(top),
        side=side,
        brightness=around(0, config.brightness),
        contrast=around(1, config.contrast),
        saturation=around(1, config.saturation),
    )


def change_tracks(clip: GridTracks, change: Change, size: int) -> GridTracks:
    """The tracks of the changed clip. Points outside its frame are not visible."""
    tracks, visible = clip.tracks, clip.visible
    if change.side != 1:
        tracks, visible = _crop(tracks, visible, change, size)
    if change.flip:
        tracks, visible = tracks[..., ::-1].copy(), visible[..., ::-1].copy()
        tracks[:, 0] = size - tracks[:, 0]
    return GridTracks(tracks, visible)


def change_frames(
    frames: UInt8[np.ndarray, "k s s 3"], change: Change
) -> UInt8[np.ndarray, "k s s 3"]:
    """The frames of the changed clip."""
    size = frames.shape[1]
    if change.side != 1:
        # OpenCV has pixel centres at whole numbers, raster pixels at +0.5.
        corner = np.array([change.left, change.top]) * size + (change.side - 1) / 2
        inverse = np.column_stack([np.eye(2) * change.side, corner])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        edge = cv2.BORDER_REPLICATE
        frames = np.stack(
            [
                cv2.warpAffine(frame, inverse, (size, size), flags=how, borderMode=edge)
                for frame in frames
            ]
        )
    if change.flip:
        frames = frames[:, :, ::-1]
    return np.ascontiguousarray(_coloured(frames, change))


def _crop(
    tracks: Float[np.ndarray, "t 2 h w"],
    visible: Bool[np.ndarray, "t h w"],
    change: Change,
    size: int,
) -> tuple[Float[np.ndarray, "t 2 h w"], Bool[np.ndarray, "t h w"]]:
    rows, columns = visible.shape[1:]
    corner = np.array([change.left, change.top], np.float32) * size
    starts = grid_queries(size, size, rows, columns)[:, [2, 1]]
    wanted = corner + starts * change.side  # where the new points start in the old frame
    motion = (tracks.reshape(len(tracks), 2, -1) - starts.T).transpose(0, 2, 1)
    cells = wanted * np.array([columns, rows], np.float32) / size - 0.5
    corners, weights = _neighbours(cells, rows, columns)
    nearest = corners[np.arange(len(corners)), weights.argmax(axis=1)]
    read = np.einsum("nk,tnkc->tnc", weights, motion[:, corners])
    apart = np.ptp(motion[:, corners], axis=2).max(axis=(0, 2))
    torn = apart > _TEAR * size / min(rows, columns)
    read[:, torn] = motion[:, nearest[torn]]
    positions = (wanted + read - corner) / change.side
    inside = ((positions >= 0) & (positions <= size)).all(axis=2)
    seen = visible.reshape(len(visible), -1)[:, nearest] & inside
    return (
        positions.transpose(0, 2, 1).reshape(tracks.shape).astype(np.float32),
        seen.reshape(visible.shape),
    )


def _neighbours(
    cells: Float[np.ndarray, "n 2"], rows: int, columns: int
) -> tuple[Int[np.ndarray, "n 4"], Float[np.ndarray, "n 4"]]:
    """The four grid points around places, and bilinear weights.

    Between the outermost points and the border the plane through the nearest four is continued.
    """
    limit = np.array([columns - 2, rows - 2])
    base = np.clip(np.floor(cells).astype(np.int64), 0, limit)
    x, y = (cells - base).T
    first = base[:, 1] * columns + base[:, 0]
    corners = first[:, None] + np.array([0, 1, columns, columns + 1])
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)
    return corners, weights.astype(np.float32)


def _coloured(frames: UInt8[np.ndarray, "k s s 3"], change: Change) -> UInt8[np.ndarray, "k s s 3"]:
    if (change.brightness, change.contrast, change.saturation) == (0, 1, 1):
        return frames
    values: np.ndarray = frames.astype(np.float32)
    grey = (values @ _GREY)[..., None]
    values = grey + (values - grey) * change.saturation
    # About the mean of the whole clip: a mean of each frame would flicker.
    mean = grey.mean()
    values = mean + (values - mean) * change.contrast + 255 * change.brightness
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
