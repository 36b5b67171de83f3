"""From a grid of tracks to a motion for every pixel, torn where the grid is torn.

Each grid cell carries its point's motion and its gradient, taken from those neighbours that move
with it: an affine patch. A pixel blends the patches of the four cells around it as long as they
agree, which reproduces any affine motion exactly up to the border. Where they disagree by more
than TEAR cells two surfaces meet: the pixel then belongs to one of them alone, since half the way
between two surfaces there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.holes import background_weight, fill_holes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TEAR = 0.75
"""Cells. Neighbours whose predictions differ by more belong to different surfaces."""

VISIBLE = 0.5
"""Probability from which on a point counts as seen."""

_STRAY = 2.0  # cells; on real tracks, 1 to 2 give the smallest error where points are hidden
_FARTHEST = 1e4  # cells

_LOOKS_ALIKE = 0.15  # of the range from -1 to 1: colours that differ by less are the same


@dataclass(frozen=True)
class Cells:
    """The grid as affine patches; lengths are in grid cells, cell (i, j) at (j + 0.5, i + 0.5)."""

    displacement: Float[Tensor, "b 2 h w"]
    gradient: Float[Tensor, "b 4 h w"]
    """d(dx)/dx, d(dx)/dy, d(dy)/dx, d(dy)/dy."""
    visible: Float[Tensor, "b 1 h w"]
    present: Float[Tensor, "b 1 h w"]
    """0 for hidden points that have gone somewhere else than the background, who knows where."""
    depth: Float[Tensor, "b 1 h w"]
    """How far the point is from where the dominant motion would take it: nearer surfaces are."""

    def stacked(self) -> Float[Tensor, "b 9 h w"]:
        parts = (self.displacement, self.gradient, self.visible, self.present, self.depth)
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class Window:
    """A rectangle of the grid, in cells from its upper left corner; may reach beyond it."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class PixelMotion:
    """Motion of every pixel of the source; lengths are in pixels of the given size."""

    target: Float[Tensor, "b 2 H W"]
    """(x, y) in the target frame."""
    jacobian: Float[Tensor, "b 4 H W"]
    """dx'/dx, dx'/dy, dy'/dx, dy'/dy."""
    visible: Float[Tensor, "b 1 H W"]
    present: Float[Tensor, "b 1 H W"]
    depth: Float[Tensor, "b 1 H W"]


def grid_centers(height: int, width: int, like: Tensor) -> Float[Tensor, "2 h w"]:
    """(x, y) of the centres of height × width unit cells."""
    y = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    x = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)))


def cells_of(
    tracks: Float[Tensor, "b 2 h w"],
    visible: Float[Tensor, "b h w"] | Bool[Tensor, "b h w"],
    stride: float,
) -> Cells:
    """Affine patches of the grid at one frame; ``stride`` is the cell size in track pixels.

    Where a hidden point is, nobody has seen, and trackers guess. If it is thought to be about where
    the background around it has gone, it goes there, too. A point whose position is not finite
    counts as hidden.
    """
    height, width = tracks.shape[2:]
    centers = grid_centers(height, width, tracks.float())
    displacement = tracks.float() / stride - centers
    known = displacement.isfinite().all(dim=1, keepdim=True)
    displacement = torch.where(known, displacement, 0.0).clamp(-_FARTHEST, _FARTHEST)
    seen = torch.where(known, visible.float()[:, None], 0.0)
    background = dominant_motion(displacement, seen)
    depth = (displacement - background).norm(dim=1, keepdim=True)

    follows = (seen >= VISIBLE).float()
    filled = fill_holes(displacement, follows, background_weight(depth))
    strays = known & ((displacement - filled).norm(dim=1, keepdim=True) > _STRAY)
    present = torch.where((follows > 0) | ~strays, 1.0, 0.0)
    depth = torch.where(follows > 0, depth, (filled - background).norm(dim=1, keepdim=True))
    smooth = _smoothed(filled)
    return Cells(smooth, _gradient(smooth), seen, present, depth)


def dominant_motion(
    displacement: Float[Tensor, "b 2 h w"], weight: Float[Tensor, "b 1 h w"], rounds: int = 8
) -> Float[Tensor, "b 2 h w"]:
    """The affine motion that most cells follow: usually that of the camera.

    Reweighted least squares: what is a quarter of a cell off counts half in the next round.
    """
    batch, _, height, width = displacement.shape
    centers = grid_centers(height, width, displacement).flatten(1).T  # [n, 2]
    scale = max(height, width)
    basis = torch.cat((centers / scale - 0.5, torch.ones_like(centers[:, :1])), dim=1)
    target = displacement.flatten(2).transpose(1, 2)  # [b, n, 2]
    prior = weight.flatten(2).transpose(1, 2)  # [b, n, 1]
    # A little of everything keeps the system solvable when hardly anything is visible.
    prior = prior + 1e-3
    current = prior
    fitted = target
    ridge = 1e-4 * torch.eye(3, device=basis.device, dtype=basis.dtype)
    ridge[2, 2] = 0
    for _ in range(rounds):
        weighted = basis * current
        normal = weighted.transpose(1, 2) @ basis + ridge * current.sum(dim=1, keepdim=True)
        fitted = basis @ torch.linalg.solve(normal, weighted.transpose(1, 2) @ target)
        off = (target - fitted).norm(dim=2, keepdim=True) / 0.25
        current = prior / (1 + off.square())
    return fitted.transpose(1, 2).reshape(batch, 2, height, width)


def _bonds(displacement: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Differences of neighbours along an axis, and how far each pair is one surface, 0 to 1."""
    step = displacement.diff(dim=axis)
    length = step.norm(dim=1, keepdim=True)
    # Of a picture that is zoomed as a whole all neighbours part: measure against the median.
    usual = length.flatten(1).median(dim=1).values[:, None, None, None]
    return step, (-(length / (TEAR + 2 * usual)).pow(4)).exp()


def _smoothed(displacement: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 2 h w"]:
    """Binomial smoothing within surfaces, against the trembling of single tracks.

    Only a cell between two neighbours of its own surface changes: affine motion stays as it is.
    Two rounds; on real tracks more gain nothing but where nothing moves.
    """
    for axis in (3, 2, 3, 2):
        inner = displacement.shape[axis] - 2
        if inner < 1:
            continue
        step, bond = _bonds(displacement, axis)
        both = bond.narrow(axis, 0, inner) * bond.narrow(axis, 1, inner)
        bend = both * step.diff(dim=axis) / 4
        edge = torch.zeros_like(displacement.narrow(axis, 0, 1))
        displacement = displacement + torch.cat((edge, bend, edge), axis)
    return displacement


def _gradient(displacement: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 4 h w"]:
    """One- or two-sided differences with the neighbours that lie on the same surface."""
    columns = []
    for axis in (3, 2):
        if displacement.shape[axis] < 2:
            columns.append(torch.zeros_like(displacement))
            continue
        step, bond = _bonds(displacement, axis)
        edge = torch.zeros_like(bond.narrow(axis, 0, 1))
        bonds = torch.cat((edge, bond), axis) + torch.cat((bond, edge), axis)
        pull = bond * step
        blank = torch.zeros_like(pull.narrow(axis, 0, 1))
        pulls = torch.cat((blank, pull), axis) + torch.cat((pull, blank), axis)
        columns.append(pulls / (bonds + 1e-3))
    along_x, along_y = columns
    parts = (along_x[:, 0], along_y[:, 0], along_x[:, 1], along_y[:, 1])
    return torch.stack(parts, dim=1)


def pixel_motion(
    cells: Cells,
    size: tuple[int, int],
    *,
    window: Window | None = None,
    guide: Float[Tensor, "b c H W"] | None = None,
) -> PixelMotion:
    """Motion of every pixel of a source of ``size`` (height, width) pixels.

    Args:
        window: the part of the grid that the source shows. None: all of it.
        guide: the source's colours. At tears a pixel goes with the points that it looks like, so
            that surfaces part at the outlines in the picture and not between cells.
    """
    packed = cells.stacked()
    rows, cols = packed.shape[2:]
    height, width = size
    part = window or Window(0, 0, cols, rows)
    across, down = width / (part.right - part.left), height / (part.bottom - part.top)
    centers = grid_centers(height, width, packed)
    x, y = centers[0, 0] / across + part.left, centers[1, :, 0] / down + part.top
    left, top = (x - 0.5).floor(), (y - 0.5).floor()
    right_share, below_share = x - 0.5 - left, y - 0.5 - top
    colours = None if guide is None else _colours_at_points(guide, rows, cols, part)

    corners, shares, scores = [], [], []
    for below in (0, 1):
        i = (top + below).long().clamp(0, rows - 1)
        strip = packed[:, :, i]
        offset_y = (y - i - 0.5)[:, None]
        share_y = (below_share if below else 1 - below_share)[:, None]
        for right in (0, 1):
            j = (left + right).long().clamp(0, cols - 1)
            corner = strip[:, :, :, j]
            offset_x = x - j - 0.5
            gradient = corner[:, 2:6]
            moved = torch.stack(
                (
                    corner[:, 0] + gradient[:, 0] * offset_x + gradient[:, 1] * offset_y,
                    corner[:, 1] + gradient[:, 2] * offset_x + gradient[:, 3] * offset_y,
                ),
                dim=1,
            )
            corners.append(torch.cat((moved, corner[:, 2:]), dim=1))
            share = share_y * (right_share if right else 1 - right_share)
            shares.append(share[None])
            if guide is not None and colours is not None:
                unlike = (guide - colours[:, :, i][:, :, :, j]).square().mean(dim=1)
                share = (share + 0.05) * (-unlike / _LOOKS_ALIKE**2).exp()
            scores.append(share.expand(len(packed), -1, -1))
    patches = torch.stack(corners)  # [4, b, 9, H, W]
    share = torch.stack(shares)  # [4, 1, H, W]
    owner = torch.stack(scores).argmax(dim=0, keepdim=True)[:, :, None]
    own = patches[:, :, :2].gather(0, owner.expand(-1, -1, 2, -1, -1))
    off = (patches[:, :, :2] - own).square().sum(dim=2) / TEAR**2
    share = share * (-off.square()).exp()
    # The owner may be a whole cell away, where its share is 0: it has a say all the same.
    share = share.scatter_add(0, owner[:, :, 0], torch.full_like(share[:1], 1e-3))
    share = share / share.sum(dim=0)
    blended = (patches * share[:, :, None]).sum(dim=0)

    unit = blended.new_tensor([across, down])[:, None, None]
    identity = blended.new_tensor([1.0, 0.0, 0.0, 1.0])[:, None, None]
    aspect = blended.new_tensor([1.0, across / down, down / across, 1.0])[:, None, None]
    return PixelMotion(
        target=centers + blended[:, :2] * unit,
        jacobian=identity + blended[:, 2:6] * aspect,
        visible=blended[:, 6:7],
        present=blended[:, 7:8],
        depth=blended[:, 8:9],
    )


def _colours_at_points(
    guide: Float[Tensor, "b c H W"], rows: int, cols: int, window: Window
) -> Float[Tensor, "b c h w"]:
    points = grid_centers(rows, cols, guide).permute(1, 2, 0)
    corner = points.new_tensor([window.left, window.top])
    extent = points.new_tensor([window.right - window.left, window.bottom - window.top])
    grid = (2 * (points - corner) / extent - 1).expand(len(guide), -1, -1, -1)
    return F.grid_sample(guide, grid, padding_mode="border", align_corners=False)
