"""Frames at the photo's own resolution.

The photo's detail is carried along the trajectories; generated content is used only where
something was uncovered, and is first brought to the colours around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.completion import mirror_beyond_border
from models.animation.holes import background_weight, fill_holes
from models.animation.motion_field import grid_centers
from models.animation.surroundings import Box, extend_tracks
from models.animation.warp import STRIDE, InverseMap, inverse_map, sample_source

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_FADE = 0.04  # of the model frame
_MAP_SIDE = 1024  # pixels; motion has no detail beyond that, and maps cost as much as pictures


def full_resolution_frames(
    photo: UInt8[np.ndarray, "H W 3"],
    tracks: Float[Tensor, "t 2 h w"],
    visible: Float[Tensor, "t h w"] | Bool[Tensor, "t h w"],
    generated: Float[Tensor, "t 3 S S"] | None,
    box: Box,
    *,
    stride: float = STRIDE,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The animation at the size of the photo, one frame at a time; the first is the photo.

    Args:
        photo: RGB.
        tracks: (x, y) in pixels of the model frame, ``stride`` of them to a grid cell.
        visible: whether a point is seen in the frame, or the probability.
        generated: frames of the pixel model, [-1, 1]. None: holes are filled from around them.
        box: where the model frame lies in the photo. Outside of it motion is extended smoothly.

    Raises:
        ValueError: arrays that do not belong together, at the call.
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"the photo must be uint8 [H, W, 3], got {photo.dtype} {photo.shape}")
    if len(tracks) != len(visible) or (generated is not None and len(generated) != len(tracks)):
        raise ValueError(
            f"tracks, visible and generated must have as many frames, got {len(tracks)}, "
            f"{len(visible)} and {'none' if generated is None else len(generated)}"
        )
    return _frames(photo, tracks, visible, generated, box, stride)


@torch.no_grad()
def _frames(
    photo: UInt8[np.ndarray, "H W 3"],
    tracks: Tensor,
    visible: Tensor,
    generated: Tensor | None,
    box: Box,
    stride: float,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    height, width = photo.shape[:2]
    around = extend_tracks(tracks, visible, box, (height, width), stride=stride)
    source = torch.from_numpy(np.array(photo)).to(tracks.device)
    source = source.permute(2, 0, 1)[None].float() / 127.5 - 1
    shrink = min(1.0, _MAP_SIDE / max(height, width))
    map_size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    guide = source if map_size == (height, width) else F.interpolate(source, map_size, mode="area")
    feather = max(1, round(box.width / tracks.shape[-1] / 4))  # a quarter of a cell
    yield np.array(photo)
    for t in range(1, len(tracks)):
        inverse = inverse_map(
            around.tracks[t : t + 1],
            around.visible[t : t + 1],
            map_size,
            stride=1.0,
            window=around.window,
            guide=guide,
        )
        inverse = enlarge_map(inverse, (height, width))
        continued = mirror_beyond_border(inverse)
        carried = sample_source(source, continued)
        weight = background_weight(inverse.depth)
        frame = fill_holes(carried, _feathered(continued.covered > 0, feather), weight)
        if generated is not None:
            drawn, shown = _lay_into(generated[t : t + 1].float(), box, (height, width))
            # Its colours are shifted by the difference around the hole, which fades into it.
            drawn = drawn + fill_holes(carried - drawn, (inverse.covered > 0).float(), weight)
            shown = shown * (1 - _feathered(inverse.covered > 0, feather))
            frame = torch.lerp(frame, drawn, shown)
        pixels = ((frame[0].clamp(-1, 1) + 1) * 127.5).round().byte()
        yield pixels.permute(1, 2, 0).cpu().numpy()


def enlarge_map(inverse: InverseMap, size: tuple[int, int]) -> InverseMap:
    """The map at another resolution; at tears places are taken over rather than averaged."""
    if tuple(inverse.source.shape[2:]) == size:
        return inverse
    height, width = inverse.source.shape[2:]
    extent = inverse.source.new_tensor([width, height])[:, None, None]
    moved = inverse.source * extent - grid_centers(height, width, inverse.source)
    packed = torch.cat((moved, inverse.depth, inverse.covered), dim=1)
    near = F.interpolate(packed, size, mode="nearest-exact")
    smooth = F.interpolate(packed, size, mode="bilinear")
    torn = (smooth[:, :2] - near[:, :2]).norm(dim=1, keepdim=True) > 1
    torn = torn | (smooth[:, 3:] != near[:, 3:])
    packed = torch.where(torn, near, smooth)
    place = grid_centers(*size, packed) * (extent / packed.new_tensor(size[::-1])[:, None, None])
    source = (packed[:, :2] + place) / extent
    return InverseMap(source, near[:, 3:], packed[:, 2:3])


def _feathered(covered: Tensor, radius: int) -> Tensor:
    """Opacity that rises from 0 in holes to 1 within ``radius`` pixels of them."""
    covered = covered.float()
    share = F.avg_pool2d(covered, 2 * radius + 1, 1, radius, count_include_pad=False)
    return covered * (2 * share - 1).clamp(0, 1)


def _lay_into(frame: Tensor, box: Box, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A model frame enlarged to its place in the photo, and how far it counts there."""
    height, width = size
    centers = grid_centers(height, width, frame)
    corner = frame.new_tensor([box.x, box.y])[:, None, None]
    extent = frame.new_tensor([box.width, box.height])[:, None, None]
    place = (centers - corner) / extent
    grid = (2 * place - 1).permute(1, 2, 0)[None]
    drawn = F.grid_sample(frame, grid, mode="bicubic", padding_mode="border", align_corners=False)
    # Towards a border that lies within the photo it fades out; what is beyond is not generated.
    far = torch.full_like(place[0], torch.inf)
    inset = torch.stack(
        (
            place[0] if box.x > 0 else far,
            place[1] if box.y > 0 else far,
            1 - place[0] if box.x + box.width < width else far,
            1 - place[1] if box.y + box.height < height else far,
        )
    )
    shown = (inset.amin(dim=0) / _FADE).clamp(0, 1)
    return drawn.clamp(-1, 1), shown[None, None]
