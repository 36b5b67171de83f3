"""Motions that keep the picture whole.

A model of few clips sometimes draws motions that no surface could follow: neighbours that cross
within a few frames, or a scene that leaves the picture. Carried along them, a photo tears. The
motion of the picture as a whole (shift, turn, zoom) and what departs from it are made smaller, each
by one factor, so that they stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.encoding import grid_points

if TYPE_CHECKING:
    from jaxtyping import Float

_FARTHEST = 0.15  # of the frame: how far the picture as a whole may go
_EXEMPT = 0.02  # share of neighbours that may part further: outlines of what moves by itself


def limit_stretch(
    tracks: Float[Tensor, "k t 2 h w"],
    visible: Float[Tensor, "k t h w"],
    size: float,
    limit: float,
) -> tuple[Float[Tensor, "k t 2 h w"], Float[Tensor, "k t h w"]]:
    """Each motion, smoothed over a cell, with what stretches more than ``limit`` scaled down.

    Args:
        tracks: (x, y) in pixels of a frame of ``size``, on a grid of equal cells.
        visible: probability that a point is seen; what moves less is hidden less.
        limit: distance by which neighbours may part, as a share of their own.
    """
    start = grid_points(tracks.shape[-2], tracks.shape[-1], size, tracks)
    moved = _smoothed(tracks - start)
    whole = affine_part(moved, start / size)
    farthest = whole.norm(dim=2).flatten(1).amax(dim=1)
    shift = _factor(_FARTHEST * size, farthest)
    bend = _factor(limit, stretch(moved - whole, size))
    hidden = (1 - visible) * bend[..., 0]
    return start + whole * shift + (moved - whole) * bend, 1 - hidden


def affine_part(
    moved: Float[Tensor, "k t 2 h w"], places: Float[Tensor, "2 h w"]
) -> Float[Tensor, "k t 2 h w"]:
    """The displacements of the affine motion that comes nearest to each frame's."""
    x, y = places.flatten(1).double()
    basis = torch.linalg.qr(torch.stack((torch.ones_like(x), x, y), dim=1)).Q.to(moved)
    flat = moved.flatten(-2)
    return (flat @ basis @ basis.T).unflatten(-1, places.shape[1:])


def _factor(limit: float, found: Float[Tensor, " k"]) -> Float[Tensor, "k 1 1 1 1"]:
    return (limit / found.clamp_min(1e-6)).clamp_max(1.0)[:, None, None, None, None]


def stretch(moved: Float[Tensor, "k t 2 h w"], size: float) -> Float[Tensor, " k"]:
    """How far neighbours part, as a share of their distance, in the worst frame.

    The few that part most, at outlines, do not count.
    """
    rows, cols = moved.shape[-2:]
    across = (moved[..., 1:] - moved[..., :-1]).norm(dim=2) * (cols / size)
    down = (moved[..., 1:, :] - moved[..., :-1, :]).norm(dim=2) * (rows / size)
    parts = torch.cat((across.flatten(2), down.flatten(2)), dim=2)  # [k, t, pairs]
    return parts.float().quantile(1 - _EXEMPT, dim=2).amax(dim=1)


def _smoothed(moved: Float[Tensor, "k t 2 h w"]) -> Float[Tensor, "k t 2 h w"]:
    kernel = moved.new_tensor([1.0, 2.0, 1.0]) / 4
    weight = (kernel[:, None] * kernel)[None, None]
    planes = moved.flatten(0, 2)[:, None]
    wide = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(wide, weight)[:, 0].unflatten(0, moved.shape[:3])
