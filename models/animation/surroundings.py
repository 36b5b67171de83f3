"""Motion beyond the model frame: the grid of tracks extended over the whole photo.

The model sees a square of the photo. What lies around it goes with the dominant motion, and near
the square with whatever moves there, so that nothing that the square cuts through is torn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.holes import fill_holes
from models.animation.motion_field import Window, dominant_motion, grid_centers

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_REACH = 0.15  # of the model frame: how far from it its own motion is felt


@dataclass(frozen=True)
class Box:
    """Where the model frame lies in the photo, in pixels of the photo; it may reach beyond it."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Surroundings:
    """A grid that covers the photo; positions and lengths are in cells of the model's grid."""

    tracks: Float[Tensor, "t 2 h w"]
    """(x, y) from the upper left corner of the extended grid."""
    visible: Float[Tensor, "t h w"]
    window: Window
    """The photo within the extended grid."""


def extend_tracks(
    tracks: Float[Tensor, "t 2 h w"],
    visible: Float[Tensor, "t h w"] | Bool[Tensor, "t h w"],
    box: Box,
    photo_size: tuple[int, int],
    *,
    stride: float,
) -> Surroundings:
    """Tracks for every part of a photo of (height, width) pixels.

    ``tracks`` are in pixels of the model frame, ``stride`` of them to a cell. Points that leave
    the model frame are seen, since the photo's frame is larger: they may still be in it.
    """
    rows, cols = tracks.shape[2:]
    across, down = box.width / cols, box.height / rows  # photo pixels per cell
    left = max(0, math.ceil(box.x / across))
    top = max(0, math.ceil(box.y / down))
    right = max(0, math.ceil((photo_size[1] - box.x - box.width) / across))
    bottom = max(0, math.ceil((photo_size[0] - box.y - box.height) / down))
    window = Window(
        left - box.x / across,
        top - box.y / down,
        left + (photo_size[1] - box.x) / across,
        top + (photo_size[0] - box.y) / down,
    )
    place = tracks.float() / stride
    seen = visible.float()
    limit = place.new_tensor([cols, rows])[:, None, None]
    left_frame = ((place < 0) | (place > limit)).any(dim=1)
    seen = torch.where(left_frame, torch.ones_like(seen), seen)

    sides = (left, right, top, bottom)
    moved = F.pad(place - grid_centers(rows, cols, place), sides)
    known = F.pad(torch.ones_like(seen), sides)[:, None]
    trusted = F.pad(seen, sides)[:, None]
    trend = dominant_motion(moved, trusted)
    rest = fill_holes((moved - trend) * known, (trusted > 0.5).float())
    moved = torch.where(known > 0, moved, trend + rest * _fade(known.shape[2:], sides, place))
    tracks_out = moved + grid_centers(known.shape[2], known.shape[3], place)
    return Surroundings(tracks_out, torch.where(known > 0, trusted, 1.0)[:, 0], window)


def _fade(size: torch.Size, sides: tuple[int, int, int, int], like: Tensor) -> Tensor:
    """1 in the model frame, falling to 0 with the distance from it."""
    height, width = size
    left, right, top, bottom = sides
    x, y = grid_centers(height, width, like)
    beyond_x = (left - x).clamp_min(0) + (x - (width - right)).clamp_min(0)
    beyond_y = (top - y).clamp_min(0) + (y - (height - bottom)).clamp_min(0)
    reach = _REACH * max(width - left - right, height - top - bottom)
    return (-(beyond_x.square() + beyond_y.square()) / reach**2).exp()
