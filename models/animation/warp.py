"""Forward warping: the first frame carried along its tracks to another frame.

Every source pixel is a small parallelogram that its motion moves and stretches. Samples spread
over it densely enough to leave no crack fall into target pixels, the nearest surface wins, and the
winner says where in the source the target pixel's centre comes from. The source is then read
there, once: texture stays as sharp as it was, whatever its resolution.

Nearest is what is visible and, among what is visible, what departs most from the dominant motion
of the frame: the scene moves with the camera, objects move against it. What is hidden is shown
where nothing hides it: trackers and models take the featureless for hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.motion_field import (
    VISIBLE,
    PixelMotion,
    Window,
    cells_of,
    grid_centers,
    pixel_motion,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

STRIDE = 4.0
_SPACING = 0.7  # target pixels between samples: no pixel is missed at any rotation below 1/√2
_MAX_SAMPLES = 6  # per pixel and axis; surfaces stretched beyond about 4 times get holes
HIDDEN = 0.5
"""Coverage where a surface is shown that should be hidden, but that nothing hides."""

# A surface goes on for less than a cell beneath what hides it: the occluder's outline lies anywhere
# between two points of the grid, and the gap between them is not a hole.
_BENEATH = 0.03
_DEPTH_STEPS = 64
_DEPTH_RANGE = 16.0  # cells


@dataclass(frozen=True)
class InverseMap:
    """Where each pixel of a target frame comes from."""

    source: Float[Tensor, "b 2 H W"]
    """(x, y) in the source as a fraction of its width and height."""
    covered: Float[Tensor, "b 1 H W"]
    """1 where a visible surface is, `HIDDEN` where a hidden one is all there is, 0 in holes."""
    depth: Float[Tensor, "b 1 H W"]
    """Departure from the dominant motion in grid cells, 0 in holes: low values are background."""


def inverse_map(
    tracks: Float[Tensor, "b 2 h w"],
    visible: Float[Tensor, "b h w"] | Bool[Tensor, "b h w"],
    size: tuple[int, int],
    *,
    stride: float = STRIDE,
    window: Window | None = None,
    guide: Float[Tensor, "b c H W"] | None = None,
) -> InverseMap:
    """The map from target pixels back to the source, both of ``size`` (height, width) pixels.

    Args:
        tracks: (x, y) of each grid cell's point in the target frame, in pixels of the model frame.
            Point (i, j) starts at ((j + 0.5) · stride, (i + 0.5) · stride), and the frame has
            w · stride by h · stride pixels.
        visible: whether the point is seen in the target frame, or the probability that it is.
        size: of the maps wanted; the model frame is scaled to it.
        window: part of the grid that source and target show. None: all of it.
        guide: the source at ``size``: tears follow its outlines.
    """
    if tracks.ndim != 4 or tracks.shape[1] != 2 or visible.shape != tracks[:, 0].shape:
        raise ValueError(
            f"tracks must be [b, 2, h, w] and visible [b, h, w], got {list(tracks.shape)} and "
            f"{list(visible.shape)}"
        )
    # One frame at a time stays in a CPU's caches; a GPU wants them all at once.
    chunk = 1 if tracks.device.type == "cpu" else len(tracks)
    parts = []
    for k in range(0, len(tracks), chunk):
        part = slice(k, k + chunk)
        cells = cells_of(tracks[part], visible[part], stride)
        look = None if guide is None else guide[part]
        motion = pixel_motion(cells, size, window=window, guide=look)
        parts.append(_splat(motion))
    return InverseMap(
        source=torch.cat([p.source for p in parts]),
        covered=torch.cat([p.covered for p in parts]),
        depth=torch.cat([p.depth for p in parts]),
    )


def sample_source(
    source: Float[Tensor, "b c H W"], inverse: InverseMap, *, mode: str = "bicubic"
) -> Float[Tensor, "b c a b"]:
    """The source of any resolution read at the places of the map; where that is a hole, 0.

    Places beyond the source's border are mirrored. Bicubic keeps texture sharp; its overshoot is
    cut to the source's range. Differentiable in ``source``.
    """
    grid = (2 * inverse.source - 1).permute(0, 2, 3, 1).to(source.dtype)
    read = F.grid_sample(source, grid, mode=mode, padding_mode="reflection", align_corners=False)
    if mode == "bicubic":
        low = source.detach().amin(dim=(2, 3), keepdim=True)
        high = source.detach().amax(dim=(2, 3), keepdim=True)
        read = read.clamp(low, high)
    return read * (inverse.covered > 0)


def warp_to_frame(
    source: Float[Tensor, "b c H W"],
    tracks: Float[Tensor, "b 2 h w"],
    visible: Float[Tensor, "b h w"] | Bool[Tensor, "b h w"],
    *,
    stride: float = STRIDE,
) -> tuple[Float[Tensor, "b c H W"], Float[Tensor, "b 1 H W"]]:
    """The source as seen at the frame of the tracks, and how far its pixels are covered.

    Holes are 0 in both; for the second see `InverseMap.covered`, for the arguments `inverse_map`.
    The source may have any resolution.
    """
    height, width = source.shape[2:]
    inverse = inverse_map(tracks, visible, (height, width), stride=stride)
    return sample_source(source, inverse), inverse.covered.to(source.dtype)


@torch.no_grad()
def _splat(motion: PixelMotion) -> InverseMap:
    batch, _, height, width = motion.target.shape
    jxx, jxy, jyx, jyy = motion.jacobian.unbind(1)
    seen = motion.visible[:, 0]
    drawn = motion.present[:, 0] >= 0.5
    count = _samples_per_axis(motion.jacobian, drawn)

    # The nearer surface first, then the sample nearest to the pixel's centre, then the index.
    determinant = jxx * jyy - jxy * jyx
    nearness = (motion.depth[:, 0] * (_DEPTH_STEPS / _DEPTH_RANGE)).clamp(0, _DEPTH_STEPS - 1)
    # Visibility comes before departure; a surface seen from behind comes last.
    nearness = nearness + _DEPTH_STEPS * (seen >= VISIBLE)
    nearness = torch.where(determinant > 0, nearness, 0.0).long() << 44

    pixels = height * width
    number = torch.arange(pixels, device=drawn.device).view(1, height, width)
    base = torch.arange(batch, device=drawn.device).view(batch, 1, 1) * pixels
    x, y = motion.target.unbind(1)
    best = torch.full((batch * pixels,), -1, device=drawn.device, dtype=torch.long)
    for i in range(count):
        for j in range(count):
            dx, dy = (j + 0.5) / count - 0.5, (i + 0.5) / count - 0.5
            px, py = x + jxx * dx + jxy * dy, y + jyx * dx + jyy * dy
            column, row = px.floor(), py.floor()
            inside = drawn & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            off = torch.maximum((px - column - 0.5).abs(), (py - row - 0.5).abs())
            key = nearness + (((1 - off) * 4095).long() << 32) + number
            where = base + row.long() * width + column.long()
            best.scatter_reduce_(0, where[inside], key[inside], "amax")

    best = best.view(batch, height, width)
    hit = best >= 0
    winner = torch.where(hit, best & 0xFFFFFFFF, 0).flatten(1)

    def of_winner(values: Tensor) -> Tensor:
        return values.flatten(1).gather(1, winner).view(batch, height, width)

    center = grid_centers(height, width, x)
    a, b, c, d = (of_winner(v) for v in (jxx, jxy, jyx, jyy))
    rest_x, rest_y = center[0] - of_winner(x), center[1] - of_winner(y)
    det = a * d - b * c
    safe = torch.where(det > 0.05, det, torch.inf)
    column = (winner % width).view(batch, height, width) + 0.5
    row = winner.div(width, rounding_mode="floor").view(batch, height, width) + 0.5
    from_x = column + ((d * rest_x - b * rest_y) / safe).clamp(-1.5, 1.5)
    from_y = row + ((a * rest_y - c * rest_x) / safe).clamp(-1.5, 1.5)
    found = torch.stack((from_x, from_y), dim=1) - center
    covered = torch.where(of_winner(seen) >= _BENEATH, 1.0, HIDDEN) * hit
    depth = of_winner(motion.depth[:, 0]) * hit
    packed = torch.cat((found, torch.stack((covered, depth), dim=1)), dim=1)
    packed = _close_cracks(packed, hit[:, None].to(x.dtype))
    scale = found.new_tensor([width, height])[:, None, None]
    return InverseMap((packed[:, :2] + center) / scale, packed[:, 2:3], packed[:, 3:])


def _samples_per_axis(jacobian: Tensor, drawn: Tensor) -> int:
    a, b, c, d = jacobian.unbind(1)
    stretch = torch.maximum(a * a + c * c, b * b + d * d).sqrt()
    stretch = stretch[drawn]
    if stretch.numel() == 0:
        return 1
    # The last per mille is noise at tears; what it leaves open is closed or is a hole.
    largest = float(stretch.kthvalue(max(1, math.ceil(0.999 * stretch.numel()))).values)
    return max(1, min(_MAX_SAMPLES, math.ceil(largest / _SPACING)))


def _close_cracks(values: Tensor, hit: Tensor) -> Tensor:
    """Fill single pixels that lie within one surface: most neighbours hit, and all agree.

    The first two channels are displacements; those of the neighbours must lie within a pixel.
    """
    known = torch.cat((values * hit, (values[:, :2] * hit).square(), hit), dim=1)
    around = 9 * F.avg_pool2d(known, 3, 1, 1)
    count = around[:, -1:].clamp_min(1)
    mean, square = around[:, : values.shape[1]] / count, around[:, -3:-1] / count
    spread = (square - mean[:, :2].square()).sum(dim=1, keepdim=True)
    closed = (hit == 0) & (around[:, -1:] >= 6) & (spread < 1)
    return torch.where(closed, mean, values)
